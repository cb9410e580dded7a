"""One scene as the page shows it: everything a template would have to work out, worked out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scene.conversation import whole_text
from scene.nouns import EventId, Severity
from scene.record import SceneRecord
from viewer.again import Again, again_of
from viewer.difference import Sentence, compare
from viewer.log import Log, log_of, worst_severity
from viewer.relations import shared_words, telling

Result = Literal["kept", "revised", "rejected", "preferred"]
"""What became of the first answer; it was preferred to its revision in scenes of older versions alone."""


@dataclass(frozen=True)
class Link:
    """A sentence of an answer beside a consequence, for the words that they share."""

    sentence: str
    event: EventId
    severity: Severity
    words: Sequence[str]


@dataclass(frozen=True)
class Passage:
    """A sentence of an answer with its place on the page."""

    anchor: str
    sentence: Sentence
    links: Sequence[Link]


@dataclass(frozen=True)
class SceneContext:
    """A record and what follows from it.

    Attributes:
        record: The record.
        result: What became of the first answer.
        worst: The worst severity among the consequences.
        anew: Whether the two answers have nothing in common, so that there is no difference to mark.
        first: The first answer.
        final: The final answer, or the revision that was not accepted.
        log: What was done and what came of it.
        links: The sentences that each consequence may go with, by its event.
        again: The scene on the final answer, where it was played.
    """

    record: SceneRecord
    result: Result
    worst: Severity
    anew: bool
    first: Sequence[Passage]
    final: Sequence[Passage]
    log: Log
    links: Mapping[EventId, Sequence[Link]]
    again: Again | None


def scene_context(record: SceneRecord) -> SceneContext:
    """Everything that the page of a scene shows."""
    result = result_of(record)
    before, after = compare(record.first_answer, record.revision if result == "preferred" else record.answer)
    first, final = _passages(record, "a", before), _passages(record, "b", after)
    links: dict[EventId, list[Link]] = {}
    for passage in (*final, *first):
        for link in passage.links:
            links.setdefault(link.event, []).append(link)
    return SceneContext(
        record=record,
        result=result,
        worst=worst_severity(record),
        anew=all(piece.changed for sentence in before for piece in sentence.pieces),
        first=first,
        final=final,
        log=log_of(record, record),
        links=links,
        again=again_of(record),
    )


def result_of(record: SceneRecord) -> Result:
    """What became of the first answer."""
    if record.answer != record.first_answer:
        return "rejected" if record.fate == "rejected" else "revised"
    return "preferred" if record.revision not in ("", record.first_answer) else "kept"


def _passages(record: SceneRecord, side: str, sentences: Sequence[Sentence]) -> list[Passage]:
    """Sentences with their places on the page and, where they changed, the consequences they may go with."""
    known = telling(" ".join([whole_text(record.question, record), *(role.name for role in record.cast)]))
    passages = []
    for number, sentence in enumerate(sentences):
        anchor = f"{side}{number}"
        links = []
        for consequence in record.consequences if sentence.changed else ():
            if words := shared_words(sentence.text, consequence.text, known):
                links.append(Link(anchor, consequence.event, consequence.severity, words))
        passages.append(Passage(anchor, sentence, links))
    return passages
