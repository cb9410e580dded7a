"""What a text is about: its words without those that any text has."""

from __future__ import annotations

import re

ALIKE = 0.5
"""Share of the content words of two texts that both have, from which on they are alike (Jaccard)."""

FUNCTION_WORDS = frozenset(
    """a about am an and any are as assist at be because been but by can can't cannot could did do does
    doesn't don't for from give had has have he help her him his how i i'd i'll i'm if in into is
    isn't it it's its like make may me might must my no not of off on or our out provide she should
    so some somebody someone sorry tell than that that's the their them then there these they this
    to unable up us want was way we were what what's when where which who whose why will with won't
    would you your""".split()
)
"""Words that say little of what a question is about, and those in which every refusal is written."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+(?:['’][^\W_]+)*")
"""A word, or a character of a script that has no blanks between them."""


def words(text: str) -> list[str]:
    """The words of a text, in small letters."""
    return _WORD.findall(text.casefold().replace("’", "'"))


def content_words(text: str) -> frozenset[str]:
    """Those of its words that say what it is about."""
    return frozenset(words(text)) - FUNCTION_WORDS


def shared(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of the words of two texts that both have; 1 where neither has any."""
    return len(one & other) / len(one | other) if one | other else 1.0
