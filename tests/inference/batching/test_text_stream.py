"""Text decoded token by token."""

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.batching.text_stream import LONGEST_CHARACTER, TextStream
from inference.pieces import first_stop
from tests.inference.tiny_llama import tokenizer

WORDS = tokenizer()


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), max_size=40))
def test_a_text_streams_as_itself(text):
    stream = TextStream(WORDS)
    for token in WORDS(text, add_special_tokens=False)["input_ids"]:
        stream.push(token)
        assert text.startswith(stream.text)
    assert stream.text == text


def test_a_character_appears_with_its_last_token():
    tokens = WORDS("☃", add_special_tokens=False)["input_ids"]
    assert len(tokens) == 3
    stream = TextStream(WORDS)
    seen = []
    for token in tokens:
        stream.push(token)
        seen.append(stream.text)
    assert seen == ["", "", "☃"]


def test_bytes_that_never_become_a_character_are_not_held_back_for_ever():
    stream = TextStream(WORDS)
    for _ in range(3 * LONGEST_CHARACTER):
        stream.push(WORDS.convert_tokens_to_ids("ÿ"))
    assert stream.text.count("\N{REPLACEMENT CHARACTER}") >= 2 * LONGEST_CHARACTER


def test_the_first_of_several_stops_counts():
    assert first_stop("one two three", ("three", "two")) == 4
    assert first_stop("one two", ("three", "")) is None
