"""What a reply's pattern lets through."""

import re

import pytest

from nodes.asking import sentence, sentences


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("The asker would know how to make soup.", True),
        ("It costs 3.5 euros, and he has 4.", True),
        ("It costs. He pays.", False),
        ("Does the asker know how to make soup?", False),
        ("the asker would know how to make soup.", False),
        ("The asker would know how to make soup", False),
        ('The asker says "soup" to the cook.', False),
        ("Yes.", False),
    ],
)
def test_a_sentence_is_one(text, fits) -> None:
    assert bool(re.fullmatch(sentence(), text)) == fits


def test_a_sentence_begins_as_asked() -> None:
    assert re.fullmatch(sentence("I [a-z]"), "I make soup for everybody.")
    assert not re.fullmatch(sentence("I [a-z]"), "We make soup for everybody.")


@pytest.mark.parametrize(("number", "fits"), [(1, True), (2, True), (3, False)])
def test_no_more_sentences_than_were_asked_for(number, fits) -> None:
    assert bool(re.fullmatch(sentences(2, "I "), " ".join(["I make soup."] * number))) == fits
