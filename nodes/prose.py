"""Shapes of short texts: as a regular expression for engines that hold replies to it, else in words."""

import re
from dataclasses import dataclass

from prompts import OURS, Words
from scene.text import clean, ends_whole, one_line, sentences, trim_to_sentence

WORDS = OURS.words


def inner(words: Words = WORDS) -> str:
    """A character of plain prose inside a sentence: no line break, no markup, and a full stop only as in 3.5.

    Before a letter, a model that may not end there would run two sentences together.
    """
    return rf'(?:[^\n"{words.stops}*#<>|{{}}\[\]\\]|[{words.stop}][0-9])'


def sentence(start: str = "", words: Words = WORDS) -> str:
    """A regular expression for one plain statement; without a start it begins as any sentence does."""
    return rf"{start or words.forms.capital}{inner(words)}{{8,}}[{words.stop}]"


def literal(text: str) -> str:
    """A regular expression for that very text, for grammars too, which know fewer escapes than Python."""
    return re.sub(r"[\\.^$*+?()\[\]{}|]", r"\\\g<0>", text)


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
    said_in: Words = WORDS

    @property
    def pattern(self) -> str:
        """The regular expression of such a text, on one line."""
        words, char = self.said_in, inner(self.said_in)
        capital, stops = words.forms.capital, f"[{words.stops}]"
        between = self.most - 1 - bool(self.end)
        more = rf"(?:{words.blank}{capital}{char}*{stops}){{0,{between}}}" if between > 0 else ""
        last = rf"{words.blank}{literal(self.end)}{char}*[{words.stop}]" if self.end else ""
        return rf"{literal(self.start) or capital}{char}*{stops}{more}{last}"

    @property
    def words(self) -> str:
        """What a model is told whose replies nobody holds to the pattern."""
        told = self.said_in.shapes
        parts = [told.sentence if self.most == 1 else told.sentences.format(most=self.most)]
        parts += [told.begins.format(words=self.start.strip())] if self.start else []
        parts += [told.ends.format(words=self.end.strip())] if self.end else []
        return " ".join(parts)

    def read(self, text: str, *, cut_off: bool) -> str:
        """The sentences from the one that begins as it must, as many as there may be, whole ones only."""
        found = list(sentences(one_line(text)))
        begins = (place for place, one in enumerate(found) if one.startswith(self.start))
        first = next(begins, len(found))
        held = self.said_in.blank.join(found[first : first + self.most])
        return trim_to_sentence(held) if cut_off or not ends_whole(held) else held

    def own(self, text: str) -> list[str]:
        """The writer's own words: the text without those that it has to begin and to end with."""
        rest = text.removeprefix(self.start)
        return rest.split(self.end) if self.end else [rest]


@dataclass(frozen=True, slots=True)
class Lines:
    """So many lines, each of a form of its own, which is a regular expression."""

    forms: tuple[str, ...]
    said_in: Words = WORDS

    @property
    def pattern(self) -> str:
        """The regular expression of all lines."""
        return "\n".join(self.forms)

    @property
    def words(self) -> str:
        """What a model is told whose replies nobody holds to the pattern."""
        told, count = self.said_in.shapes, len(self.forms)
        return told.line if count == 1 else told.lines.format(count=count)

    def read(self, text: str, *, cut_off: bool) -> str:
        """The lines that have the forms, in their order; what else is between them is left out."""
        lines = iter([line.strip() for line in clean(text).splitlines()])
        held = [next((line for line in lines if re.fullmatch(form, line)), "") for form in self.forms]
        return "\n".join(held) if all(held) else ""

    def own(self, text: str) -> list[str]:
        """What comes after the names of the lines."""
        return [line.partition(": ")[2] or line for line in text.splitlines()]


Shape = Prose | Lines
"""What a short text must look like."""
