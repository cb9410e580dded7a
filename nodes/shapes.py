"""The shapes of the replies to a scene's prompts, in the words of a prompt set."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nodes.prose import Lines, Prose, inner, sentence
from prompts import Words

LENGTH = "{8,90}"
"""How long a sentence about somebody may be."""

MOST_BEFALLEN = 3
"""Whom a consequence may fall on."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """Every shape that a reply is held to; the texts between are `prompts/words.yaml`'s."""

    words: Words

    def situation(self, who: str = "") -> Prose:
        """The life behind a question, and who asks where that is known."""
        return Prose(2, f"{self.words.situation}{who}", said_in=self.words)

    @property
    def memory(self) -> Prose:
        """What happened before."""
        return Prose(2, said_in=self.words)

    @property
    def reaction(self) -> Prose:
        """What somebody does."""
        return Prose(2, self.words.act, said_in=self.words)

    @property
    def instead(self) -> Prose:
        """What would help the asker."""
        return Prose(1, self.words.help, said_in=self.words)

    def cast(self, parts: Sequence[str]) -> Lines:
        """A line for each of the cast."""
        return self._lines(*(f"{part}: {self._person('%s')}" for part in parts))

    def person(self, line: str) -> tuple[str, str, str]:
        """Name, traits and position of a line of the cast."""
        found = re.fullmatch(self._person("(%s)"), line.partition(": ")[2])
        assert found is not None  # the shape is the same one
        return found[1], found[2], found[3]

    def plan(self, steps: int) -> Lines:
        """What the asker does, one act a line."""
        return self._lines(*(sentence(self.words.forms.step, self.words),) * steps)

    @property
    def refused(self) -> Lines:
        """A ruling that an action can't happen."""
        return self._lines(rf"{self.words.no}, {self.words.forms.reason}{inner(self.words)}{{8,}}")

    def admitted(self, role: str, cast: int) -> Lines:
        """A ruling that lets an action happen: where, and who gets to know of it, by id.

        The one who acts may be named too and is left out afterwards: names, or a list for each who acts,
        would make another grammar for every scene, a quarter of a second to compile and megabytes to keep.
        """
        words = self.words
        whom = rf"(?:{words.nobody}|{role}(?:, {role}){{0,{cast - 1}}})"
        return self._lines(rf"{words.yes}, {words.forms.place}: {whom}")

    def ruling(self, said: str) -> tuple[str, str, str]:
        """Place, observers and the reason against it, of a ruling."""
        words = self.words
        found = re.fullmatch(rf"{words.yes}, (.+): (.+)|{words.no}, (.+)", said)
        assert found is not None  # the shape is a narrower one
        return found[1] or "", found[2] or "", found[3] or ""

    def consequence(self, role: str) -> Lines:
        """Whom something falls on, what of theirs it touches, and what happens to them."""
        whom = rf"{role}(?:, {role}){{0,{MOST_BEFALLEN - 1}}}"
        touched = "|".join(self.words.touched)
        return self._lines(rf"{whom} [(](?:{touched})[)]: {sentence(words=self.words)}")

    def _lines(self, *forms: str) -> Lines:
        return Lines(forms, self.words)

    def _person(self, group: str) -> str:
        words = self.words
        end = rf"{inner(words)}{LENGTH}[{words.stop}]"
        name, traits, position = (
            group % form
            for form in (words.forms.name, f"{words.forms.traits}{end}", f"{words.forms.position}{end}")
        )
        return rf"{name}[{words.stop}]{words.blank}{traits}{words.blank}{position}"
