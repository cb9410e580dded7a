"""What a question is about: its words but for those that most questions have, in any script."""

import unicodedata
from pathlib import Path

import regex

_FUNCTION_WORDS = frozenset(Path(__file__).with_name("function_words.txt").read_text("utf-8").split())
"""Of English, German, French, Spanish and Chinese, without accents; single letters are no words either."""

_WORD = regex.compile(
    r"(?V1)\p{Han}|[\p{Katakana}ー]+|[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]+"
    r"|[[\p{L}\p{M}\p{N}]--[\p{Han}\p{Katakana}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]+"
)
"""A character of Chinese is a word. What Japanese writes in Hiragana is grammar, mostly, and none."""

_UNSPACED = regex.compile(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
_RUN = 3
"""Characters of the runs that stand for words where a script has no blanks between them."""


def words(text: str) -> list[str]:
    """The words of a text, in small letters."""
    found: list[str] = _WORD.findall(text.casefold())
    return found


def shared(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of the words of two texts that both have; 1 where neither has any."""
    return len(one & other) / len(one | other) if one | other else 1.0


def content_words(text: str) -> frozenset[str]:
    """The words that say what a text is about, without case, accents and the s of a plural."""
    plain = regex.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text.casefold()))
    found: set[str] = set()
    for word in _WORD.findall(unicodedata.normalize("NFKC", plain)):
        if _UNSPACED.match(word):
            found.update(word[at : at + _RUN] for at in range(max(1, len(word) - _RUN + 1)))
        elif word not in _FUNCTION_WORDS and not (len(word) == 1 and word.isascii() and word.isalpha()):
            found.add(word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word)
    return frozenset(found)
