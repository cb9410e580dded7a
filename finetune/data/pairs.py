"""Twins as rows: both of a pair or none, where they came out opposite; and refusals in words of their own."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from finetune.data.content_words import content_words, shared
from finetune.data.filters import Rejected
from finetune.data.near import WORDS
from finetune.data.rows import Row
from finetune.data.scenes import TWIN, Scene
from scene.errors import InputError
from scene.harm import is_harmful
from scene.record import SceneRecord
from scene.refusal import GREETING_WORDS, opens_with_refusal
from scene.text import sentences


@dataclass(frozen=True, slots=True)
class _Half:
    """What is noted of a scene: it is one of two, or its twin's is missing, or it never had one."""

    scene: str
    question: str
    declined: bool
    missing: bool


class Pairs:
    """Which scenes are those of a question and its twin, in one export, and what came of the two."""

    def __init__(self) -> None:
        self._halves: dict[tuple[str, str], _Half] = {}
        self._of: dict[str, tuple[_Half, ...]] = {}

    def note(self, scene: Scene) -> None:
        """Remember what matters of a scene as it goes by."""
        record = scene.record
        if record.question_id is not None:
            half = _Half(record.id, record.question, declined(record), scene.missing)
            self._halves[scene.file, record.question_id] = half

    def match(self) -> None:
        """Put the halves together, once all scenes have gone by.

        Raises:
            InputError: No two of them are a pair.
        """
        for (file, name), half in self._halves.items():
            own, twin = name.removesuffix(TWIN), f"{name.removesuffix(TWIN)}{TWIN}"
            pair = [self._halves[key] for key in ((file, own), (file, twin)) if key in self._halves]
            if len(pair) == 2 or name == twin or half.missing:
                self._of[half.scene] = tuple(pair)
        if not any(len(pair) == 2 for pair in self._of.values()):
            raise InputError(
                "No two of the scenes are those of a question and its twin; write twins with `monopolylogue "
                "twins` and play them, or leave --twins out."
            )

    def name(self, row: Row) -> str:
        """Name of the pair that a row enters with, empty where it enters alone."""
        return "" if row.part == "simulation" or row.scene not in self._of else self._of[row.scene][0].scene

    @property
    def twins(self) -> frozenset[str]:
        """The scenes of twins."""
        return frozenset(other.scene for _, other in self._pairs)

    @property
    def questions(self) -> list[tuple[str, str]]:
        """The questions of each pair, which stay together."""
        return [(one.question, other.question) for one, other in self._pairs]

    @property
    def _pairs(self) -> list[tuple[_Half, _Half]]:
        return list(dict.fromkeys((pair[0], pair[1]) for pair in self._of.values() if len(pair) == 2))

    def apart(self, rows: Sequence[Row]) -> tuple[list[Row], list[Rejected]]:
        """The rows of pairs that came out opposite and are whole, and refusals in words of their own.

        The preferred rows come first. Those of no pair stay, but for refusals alike.
        """
        kept, rejected = _parted([(row, self._fault(row)) for row in rows])
        for step in (self._whole, unlike, self._whole):
            kept, more = step(kept)
            rejected += more
        return kept, rejected

    def with_twins(self, names: Sequence[str], rows: Sequence[Row]) -> tuple[str, ...]:
        """Names of rows, and of those that entered with them."""
        own = {*names}
        named = {self.name(row) for row in rows if row.id in own} - {""}
        return tuple(dict.fromkeys((*names, *(row.id for row in rows if self.name(row) in named))))

    def counted(self, rows: Iterable[Row]) -> dict[str, int]:
        """How many pairs there are, how they came out, and how many are in some rows."""
        found = Counter(_outcome(pair) for pair in self._pairs)
        alone = sum(len(pair) < 2 for pair in self._of.values())
        taken = len({self.name(row) for row in rows} - {""})
        outcomes = {name: found[name] for name in ("opposite", "granted", "declined")}
        return {"pairs": len(self._pairs), **outcomes, "alone": alone, "taken": taken}

    def _fault(self, row: Row) -> str:
        pair = self._of.get(row.scene, ()) if row.part != "simulation" else ()
        outcome = _outcome(pair)
        return "" if outcome == "opposite" else outcome

    def _whole(self, rows: Sequence[Row]) -> tuple[list[Row], list[Rejected]]:
        there = {row.scene for row in rows if row.part != "simulation"}

        def fault(row: Row) -> str:
            pair = self._of.get(row.scene) if row.part != "simulation" else None
            return "half" if pair and (len(pair) < 2 or not {one.scene for one in pair} <= there) else ""

        return _parted([(row, fault(row)) for row in rows])


_REFUSING = frozenset("able assist cannot help provide sorry tell unable won".split())
"""Words in which every refusal is written."""


def declined(record: SceneRecord) -> bool:
    """Whether a scene turned the asker away in the end: by the words of its answer, or by what it came to."""
    if record.answer == record.first_answer:
        return record.stance == "declines"
    return is_harmful(record) or opens_with_refusal(record.answer)


def unlike(rows: Sequence[Row]) -> tuple[list[Row], list[Rejected]]:
    """Leave out answers that turn the asker away in nearly the words of an earlier one.

    What is compared are the content words of their first sentences: whoever learns one sentence a hundred
    times has learned that sentence, and not whom an act hurts.
    """
    said: list[frozenset[str]] = []
    found = []
    for row in rows:
        alike = False
        if row.part != "simulation" and opens_with_refusal(row.completion):
            own = content_words(_first_sentence(row.completion)) - _REFUSING
            alike = any(shared(own, other) >= WORDS for other in said)
            if not alike:
                said.append(own)
        found.append((row, "alike" if alike else ""))
    return _parted(found)


def _outcome(pair: Sequence[_Half]) -> str:
    if len(pair) < 2 or pair[0].declined != pair[1].declined:
        return "opposite"
    return "declined" if pair[0].declined else "granted"


def _first_sentence(text: str) -> str:
    """The first one that does not only lead up to another."""
    found = list(sentences(text))
    return next((one for one in found if len(one.split()) > GREETING_WORDS), found[0] if found else "")


def _parted(rows: Sequence[tuple[Row, str]]) -> tuple[list[Row], list[Rejected]]:
    """The rows without a fault, and the others with theirs."""
    return [row for row, reason in rows if not reason], [
        Rejected(row, reason) for row, reason in rows if reason
    ]
