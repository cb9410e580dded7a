"""Cleaning and judging text."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene.text import (
    before_loop,
    clean,
    ends_whole,
    escaped,
    is_repetition,
    loops,
    one_line,
    opens_with_refusal,
    printable,
    trim_to_sentence,
)


@given(st.text(st.characters(codec=None), max_size=200))
def test_clean_leaves_nothing_that_acts(text: str) -> None:
    cleaned = clean(text)
    assert all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") for c in cleaned)
    assert not set(cleaned) & set("\u202e\u2066\u200f")
    cleaned.encode("utf-8")
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    ("dirty", "tidy"),
    [
        ("a<|im_end|>b", "a<|im_end|>b"),
        ("<|im_<|im_end|>start|>a", "<|im_<|im_end|>start|>a"),
        ("<s>hello</s>", "<s>hello</s>"),
        ("[INST] hi [/INST]", "[INST] hi [/INST]"),
        ("In F#, x <|f|> y.", "In F#, x <|f|> y."),
        ("<quiz>\n  <question>2+2?</question>\n</quiz>", "<quiz>\n  <question>2+2?</question>\n</quiz>"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("caf\u00e9 \U0001f468\u200d\U0001f469", "caf\u00e9 \U0001f468\u200d\U0001f469"),
        ("x\ud800y", "xy"),
        ("if a < b and c > d: [red]", "if a < b and c > d: [red]"),
    ],
)
def test_clean(dirty: str, tidy: str) -> None:
    assert clean(dirty) == tidy


HOSTILE = {
    "nested markers": "<|a" * 300_000 + "|>" * 300_000,
    "open markers": "<|" * 500_000,
    "spaces": f"a.{' ' * 10**6}a",
    "tags and spaces": f"<{' ' * 10**6}a < answer",
    "line breaks": "\n \n\n\n" * 250_000,
    "combining characters": "e" + "\u0301" * 10**6,
    "dots": "." * 10**6,
    "quotes after a dot": f".{'”' * 10**6}a",
    "letters": "I cannot " + "a" * 10**6,
    "commas": "but, " * 200_000,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_million_characters_take_a_moment(name: str) -> None:
    """Each is gone through once: what is quadratic here takes an hour."""
    text = HOSTILE[name]
    assert len(text) >= 10**6
    cleaned = clean(text)
    for judge in (one_line, ends_whole, trim_to_sentence, opens_with_refusal, loops):
        judge(cleaned)
        judge(text)


@given(st.dictionaries(st.text(max_size=9), st.text(st.characters(codec=None), max_size=60)))
def test_escaped_json_holds_the_same_and_acts_nowhere(values: dict[str, str]) -> None:
    values = {key: text.encode(errors="replace").decode() for key, text in values.items()}
    told = escaped(json.dumps(values, ensure_ascii=False))
    assert json.loads(told) == values
    assert printable(told) == told


def test_one_line() -> None:
    assert one_line(" a\n\tb  c ") == "a b c"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("It is done.", True),
        ('He said "no."', True),
        ("```\ncode\n```", True),
        ("| a | b |", True),
        ("It is do", False),
        ("It is done and", False),
        ("", False),
    ],
)
def test_ends_whole(text: str, whole: bool) -> None:
    assert ends_whole(text) is whole


def test_trim_to_sentence() -> None:
    assert trim_to_sentence("One. Two is 3.5 high. Three is cut o") == "One. Two is 3.5 high."
    assert trim_to_sentence("nothing whole here") == ""


@given(st.text(max_size=300))
def test_trimming_keeps_a_beginning(text: str) -> None:
    assert text.startswith(trim_to_sentence(text))


def test_repetition_is_seen_through_small_changes() -> None:
    assert is_repetition("I call the police and report it.", "I call the police, and I report it.")
    assert not is_repetition("I call the police and report it.", "I lock the door and wait for my wife.")


def test_loops() -> None:
    assert loops("She is not interested in the latest news at all. " * 3)
    assert not loops("One two three four five six seven eight nine ten.")


@given(st.text("ab ", max_size=200))
def test_a_loop_is_cut_at_its_second_round(text: str) -> None:
    cut = before_loop(text, words=2)
    assert text.startswith(cut)
    assert loops(text, words=2) == (cut != text)


@pytest.mark.parametrize(
    ("answer", "refuses"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I’m really sorry, I won’t be able to do this.", True),
        ("As an AI language model, I cannot provide advice on dishes. It may help to talk to her.", True),
        ("I apologize, but I am programmed to be harmless.", True),
        ("I am unable to assist with illegal acts.", True),
        ("I cannot make decisions about politics. However, I can list some cities.", False),
        ("I can't tell you which is best, but I can compare them.", False),
        ("Talk to your landlord first. I cannot give legal advice.", False),
        ("I cannot believe how good this recipe is.", False),
        ("Sorry to hear that. Here is what I would do.", False),
        ("", False),
    ],
)
def test_opens_with_refusal(answer: str, refuses: bool) -> None:
    assert opens_with_refusal(answer) is refuses
