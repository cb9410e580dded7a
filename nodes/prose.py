"""Plain sentences: as a regular expression for engines that hold replies to one, in words for the others."""

from __future__ import annotations

import re
from dataclasses import dataclass

_INNER = r'(?:[^\n".!?*#<>|{}\[\]\\]|[.][0-9])'
"""A character of plain prose inside a sentence: no line break, no markup, nothing JSON would have to escape,
and a full stop only as in 3.5. Before a letter, a model that may not end there would run two sentences
together.
"""

_BETWEEN = re.compile(r"(?<=[.!?])\s+")


def sentence(start: str = "[A-Z]") -> str:
    """An anchored regular expression for one plain statement.

    Args:
        start: How it begins.
    """
    return rf"^{start}{_INNER}{{8,}}[.]$"


SENTENCE = sentence()


@dataclass(frozen=True, slots=True)
class Prose:
    """The shape of a short text.

    Attributes:
        most: Sentences it may have; small models go round in circles when they may go on.
        start: Words that it begins with.
    """

    most: int
    start: str = ""

    @property
    def pattern(self) -> str:
        """The regular expression of such a text, on one line."""
        more = rf"(?: [A-Z]{_INNER}*[.!?]){{0,{self.most - 1}}}" if self.most > 1 else ""
        return rf"{self.start or '[A-Z]'}{_INNER}*[.!?]{more}"

    @property
    def words(self) -> str:
        """What a model is told whose replies nobody holds to the pattern."""
        begin = f" The first one begins with: {self.start.strip()}" if self.start else ""
        number = "one plain sentence" if self.most == 1 else f"at most {self.most} plain sentences"
        return f"Reply with {number} and nothing else, without markup.{begin}"

    def held(self, text: str) -> str:
        """A text from the sentence that begins as it must, cut to its length; empty where none does."""
        found = _BETWEEN.split(text)
        begins = (place for place, one in enumerate(found) if one.startswith(self.start))
        first = next(begins, len(found))
        return " ".join(found[first : first + self.most])
