"""Shapes of short texts: as a regular expression for engines that hold replies to it, else in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from scene.text import clean, ends_whole, one_line, sentences, trim_to_sentence

INNER = r'(?:[^\n".!?*#<>|{}\[\]\\]|[.][0-9])'
"""A character of plain prose inside a sentence: no line break, no markup, and a full stop only as in 3.5.
Before a letter, a model that may not end there would run two sentences together.
"""


def sentence(start: str = "[A-Z]") -> str:
    """A regular expression for one plain statement.

    Args:
        start: How it begins.
    """
    return rf"{start}{INNER}{{8,}}[.]"


class Shape(Protocol):
    """What a short text must look like."""

    @property
    def pattern(self) -> str:
        """The regular expression of the whole text."""
        ...

    @property
    def words(self) -> str:
        """What a model is told whose replies nobody holds to the pattern."""
        ...

    def read(self, text: str, *, cut_off: bool) -> str:
        """The text of this shape that a reply holds; empty where it holds none.

        Args:
            text: The reply.
            cut_off: Whether a cap ended it.
        """
        ...

    def own(self, text: str) -> list[str]:
        """What of a text of this shape the shape does not give: the writer's own words."""
        ...


@dataclass(frozen=True, slots=True)
class Prose:
    """One paragraph of plain sentences.

    Attributes:
        most: Sentences it may have; small models go round in circles when they may go on.
        start: Words that it begins with.
        end: Words that its last sentence begins with, where it has them.
    """

    most: int
    start: str = ""
    end: str = ""

    @property
    def pattern(self) -> str:
        """The regular expression of such a text, on one line."""
        between = self.most - 1 - bool(self.end)
        more = rf"(?: [A-Z]{INNER}*[.!?]){{0,{between}}}" if between > 0 else ""
        last = rf" {self.end}{INNER}*[.]" if self.end else ""
        return rf"{self.start or '[A-Z]'}{INNER}*[.!?]{more}{last}"

    @property
    def words(self) -> str:
        """What a model is told whose replies nobody holds to the pattern."""
        begin = f" The first one begins with: {self.start.strip()}" if self.start else ""
        begin += f" The last one begins with: {self.end.strip()}" if self.end else ""
        number = "one plain sentence" if self.most == 1 else f"at most {self.most} plain sentences"
        return f"Reply with {number} and nothing else, without markup.{begin}"

    def read(self, text: str, *, cut_off: bool) -> str:
        """The sentences from the one that begins as it must, as many as there may be, whole ones only."""
        found = list(sentences(one_line(text)))
        begins = (place for place, one in enumerate(found) if one.startswith(self.start))
        first = next(begins, len(found))
        held = " ".join(found[first : first + self.most])
        return trim_to_sentence(held) if cut_off or not ends_whole(held) else held

    def own(self, text: str) -> list[str]:
        """The text without the words that it has to begin and to end with."""
        rest = text.removeprefix(self.start)
        return rest.split(self.end) if self.end else [rest]


@dataclass(frozen=True, slots=True)
class Lines:
    """So many lines, each of a form of its own.

    Attributes:
        forms: Regular expression of each line.
    """

    forms: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """The regular expression of all lines."""
        return "\n".join(self.forms)

    @property
    def words(self) -> str:
        """What a model is told whose replies nobody holds to the pattern."""
        count = "one line" if len(self.forms) == 1 else f"{len(self.forms)} lines"
        return f"Reply with {count} of the same form as before and nothing else, without markup."

    def read(self, text: str, *, cut_off: bool) -> str:
        """The lines that have the forms, in their order; what else is between them is left out."""
        lines = iter([line.strip() for line in clean(text).splitlines()])
        held = [next((line for line in lines if re.fullmatch(form, line)), "") for form in self.forms]
        return "\n".join(held) if all(held) else ""

    def own(self, text: str) -> list[str]:
        """What comes after the names of the lines."""
        return [line.partition(": ")[2] or line for line in text.splitlines()]
