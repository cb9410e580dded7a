"""What is told of a growing text, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.engine import Completion
from inference.pieces import Pieces, before_stop


class Here:
    """An event loop that does everything at once, or is closed."""

    closed = False

    def call_soon_threadsafe(self, callback, *args):
        if self.closed:
            raise RuntimeError("Event loop is closed")
        callback(*args)


def pieces_of(*stop):
    told = []
    return Pieces(told.append, Here(), stop), told


def done(text):
    return Completion(text=text, finish_reason="stop", prompt_tokens=1, completion_tokens=1)


@given(
    st.lists(st.sampled_from(["a", "b", "ab", "ba ", "ü", "😀", "\n", "aab"]), max_size=12),
    st.lists(st.text("ab ü\n", min_size=1, max_size=4), max_size=3),
)
def test_what_is_told_is_never_taken_back(parts, stops):
    pieces, told = pieces_of(*stops)
    text = ""
    for part in parts:
        pieces.grow(text + part[:-1] + "\N{REPLACEMENT CHARACTER}")
        text += part
        pieces.grow(text)
        assert before_stop(text, tuple(stops)).startswith("".join(told))
        if before_stop(text, tuple(stops)) != text:
            break
    completion = pieces.finish(done(before_stop(text, tuple(stops))))
    assert completion == done(before_stop(text, tuple(stops)))
    assert "".join(told) == completion.text
    assert all(told)
    assert "\N{REPLACEMENT CHARACTER}" not in completion.text


@pytest.mark.parametrize(
    ("stops", "grown", "told"),
    [
        ((), "Well", "Well"),
        (("END",), "Well E", "Well "),
        (("END",), "Well EN\n", "Well EN\n"),
        (("END",), "Well END and more", "Well "),
        (("abcd", "bc"), "xabc", "x"),
        ((), "Smile \N{REPLACEMENT CHARACTER}", "Smile "),
    ],
)
def test_what_is_certain(stops, grown, told):
    pieces, said = pieces_of(*stops)
    pieces.grow(grown)
    assert said == [told]


def test_a_reply_that_begins_again_is_told_once():
    pieces, told = pieces_of()
    for text in ("one", "one two", "o", "one t", "one two", "one two three"):
        pieces.grow(text)
    assert told == ["one", " two", " three"]


def test_a_half_character_at_the_cap_comes_last():
    pieces, told = pieces_of()
    pieces.grow("x\N{REPLACEMENT CHARACTER}")
    assert pieces.finish(done("x\N{REPLACEMENT CHARACTER}")).text == "".join(told)
    assert told == ["x", "\N{REPLACEMENT CHARACTER}"]


def test_what_was_told_stands_even_if_the_whole_text_reads_otherwise():
    """As where a tokenizer shows valid bytes as invalid ones once an invalid one follows."""
    pieces, told = pieces_of()
    pieces.grow("é")
    assert pieces.finish(done("\N{REPLACEMENT CHARACTER}" * 3)).text == "".join(told)
    assert told[0] == "é"


def test_a_loop_that_is_gone_is_no_error():
    loop = Here()
    loop.closed = True
    pieces = Pieces(print, loop, ())
    pieces.grow("Well")
    assert pieces.finish(done("Well.")).text == "Well."
