"""One scene as the page shows it: everything a template would have to work out, worked out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from scene.nouns import Consequence, Event, EventId, Role, Severity
from scene.record import ModelCall, NodeCost, SceneRecord
from viewer.difference import Sentence, compare
from viewer.relations import followed_by, prompted_by, shared_words, telling, tried_again

SEVERITIES: tuple[Severity, ...] = tuple(reversed(get_args(Severity)))
"""Worst first."""

Result = Literal["kept", "revised", "rejected"]
"""What became of the first answer; `rejected` where a revision was judged worse than it."""


@dataclass(frozen=True)
class Act:
    """An event with everything that hangs on it.

    Attributes:
        event: The event.
        consequence: What it led to; None for a refused one.
        prompted_by: Events that its actor reacted to.
        followed_by: Events that react to it.
        again: The event in which a refused plan step was tried once more, if it was.
        calls: Places of the model calls behind it among all calls.
    """

    event: Event
    consequence: Consequence | None
    prompted_by: Sequence[EventId]
    followed_by: Sequence[EventId]
    again: EventId | None
    calls: Sequence[tuple[int, ModelCall]]


@dataclass(frozen=True)
class Cell:
    """What one role did in one turn, and what of that turn it observed."""

    role: Role
    act: Act | None
    observed: Sequence[EventId]


@dataclass(frozen=True)
class Turn:
    """A turn: one cell for each role, in the order of the cast."""

    number: int
    cells: Sequence[Cell]


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
        names: Name of each role.
        result: What became of the first answer.
        worst: The worst severity among the consequences.
        anew: Whether the two answers have nothing in common, so that there is no difference to mark.
        first: The first answer.
        final: The final answer, or the revision that was not accepted.
        turns: The log.
        consequences: Worst first, each with the sentences that it may go with.
        severities: How many consequences there are of each severity, worst first.
        linked: Whether any sentence is shown with a consequence.
        refused: How many actions were.
        total: Cost of the whole scene.
        calls: Model calls by node, each with its place among all of them.
    """

    record: SceneRecord
    names: Mapping[str, str]
    result: Result
    worst: Severity
    anew: bool
    first: Sequence[Passage]
    final: Sequence[Passage]
    turns: Sequence[Turn]
    consequences: Sequence[tuple[Consequence, Sequence[Link]]]
    severities: Mapping[Severity, int]
    linked: bool
    refused: int
    total: NodeCost
    calls: Mapping[str, Sequence[tuple[int, ModelCall]]]


def scene_context(record: SceneRecord) -> SceneContext:
    """Everything that the page of a scene shows."""
    result = result_of(record)
    before, after = compare(record.first_answer, record.revision if result == "rejected" else record.answer)
    first, final = _passages(record, "a", before), _passages(record, "b", after)
    links = [link for passage in (*final, *first) for link in passage.links]
    worst_first = sorted(record.consequences, key=lambda consequence: SEVERITIES.index(consequence.severity))
    numbered = list(enumerate(record.calls or ()))
    return SceneContext(
        record=record,
        names={role.id: role.name for role in record.cast},
        result=result,
        worst=worst_severity(record),
        anew=all(piece.changed for sentence in before for piece in sentence.pieces),
        first=first,
        final=final,
        turns=turns(record),
        consequences=[(one, [link for link in links if link.event == one.event]) for one in worst_first],
        severities=severity_counts(record),
        linked=bool(links),
        refused=sum(not event.admitted for event in record.events),
        total=total_cost(record.cost, record.seconds),
        calls={
            node: [(number, call) for number, call in numbered if call.node == node]
            for node in dict.fromkeys(call.node for _, call in numbered)
        },
    )


def result_of(record: SceneRecord) -> Result:
    """What became of the first answer."""
    if record.answer != record.first_answer:
        return "revised"
    return "rejected" if record.revision and record.revision != record.first_answer else "kept"


def severity_counts(record: SceneRecord) -> dict[Severity, int]:
    """How many consequences there are of each severity, worst first."""
    return {
        severity: sum(consequence.severity == severity for consequence in record.consequences)
        for severity in SEVERITIES
    }


def worst_severity(record: SceneRecord) -> Severity:
    """The worst severity among the consequences; `none` where there are none."""
    return next((severity for severity, count in severity_counts(record).items() if count), "none")


def total_cost(costs: Mapping[str, NodeCost], seconds: float) -> NodeCost:
    """What a whole scene took.

    Args:
        costs: What each node took.
        seconds: From its beginning to its end, which is less than the sum over nodes that ran side by side.
    """
    own = costs.values()
    return NodeCost(
        calls=sum(cost.calls for cost in own),
        prompt_tokens=sum(cost.prompt_tokens for cost in own),
        completion_tokens=sum(cost.completion_tokens for cost in own),
        cached_tokens=sum(cost.cached_tokens for cost in own),
        seconds=seconds,
    )


def turns(record: SceneRecord) -> list[Turn]:
    """The log by turn and role."""
    prompts = prompted_by(record.events)
    follows = followed_by(prompts)
    again = tried_again(record.events)
    consequences = {consequence.event: consequence for consequence in record.consequences}

    def act(event: Event) -> Act:
        return Act(
            event=event,
            consequence=consequences.get(event.id),
            prompted_by=prompts[event.id],
            followed_by=follows[event.id],
            again=again.get(event.id),
            calls=[
                (number, call)
                for number, call in enumerate(record.calls or ())
                if (call.turn, call.role) == (event.turn, event.actor)
            ],
        )

    found = []
    for number in sorted({event.turn for event in record.events}):
        own = [event for event in record.events if event.turn == number]
        acts = {event.actor: act(event) for event in own}
        cells = [
            Cell(role, acts.get(role.id), [event.id for event in own if role.id in event.observers])
            for role in record.cast
        ]
        found.append(Turn(number, cells))
    return found


def _passages(record: SceneRecord, side: str, sentences: Sequence[Sentence]) -> list[Passage]:
    """Sentences with their places on the page and, where they changed, the consequences they may go with."""
    known = telling(" ".join([record.question, *(role.name for role in record.cast)]))
    passages = []
    for number, sentence in enumerate(sentences):
        anchor = f"{side}{number}"
        links = []
        for consequence in record.consequences if sentence.changed else ():
            if words := shared_words(sentence.text, consequence.text, known):
                links.append(Link(anchor, consequence.event, consequence.severity, words))
        passages.append(Passage(anchor, sentence, links))
    return passages
