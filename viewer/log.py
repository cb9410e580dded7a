"""What was done in a scene and what came of it, for the scene itself and for the one on its final answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from scene.nouns import Consequence, Event, EventId, Role, Severity
from scene.record import ModelCall, NodeCost, Replay, SceneRecord, total_cost
from viewer.relations import followed_by, prompted_by, tried_again

SEVERITIES: tuple[Severity, ...] = tuple(reversed(get_args(Severity)))
"""Worst first."""

AGAIN = "again-"
"""How the places of a replay begin: its events are numbered from e0 like those of the first scene."""

Played = SceneRecord | Replay
"""What has a log."""


@dataclass(frozen=True)
class Act:
    """An event with everything that hangs on it."""

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
class Log:
    """The log of a scene and what it cost.

    Its places on the page begin with the scene's id and its prefix, which is empty for the scene itself and
    `AGAIN` for its replay. Consequences and severities are worst first; calls are by node, each with its
    place among all of them, and None where they were not kept.
    """

    scene: str
    prefix: str
    cast: Sequence[Role]
    names: Mapping[str, str]
    events: int
    refused: int
    turns: Sequence[Turn]
    consequences: Sequence[Consequence]
    severities: Mapping[Severity, int]
    total: NodeCost
    calls: Mapping[str, Sequence[tuple[int, ModelCall]]] | None

    def at(self, place: str) -> str:
        """The id that a place of this log has on the page."""
        return f"{self.scene}.{self.prefix}{place}"

    def key(self, event: EventId) -> str:
        """What is marked together: an event of this log and everything that belongs to it."""
        return f"{self.prefix}{event}"

    def shown(self, event: EventId) -> str:
        """How an event is called where those of both logs may stand: `e0`, and `e0*` in the replay."""
        return f"{event}*" if self.prefix else event


def log_of(record: SceneRecord, played: Played) -> Log:
    """The log of a scene, or of its replay."""
    numbered = list(enumerate(played.calls or ()))
    nodes = dict.fromkeys(call.node for _, call in numbered)
    return Log(
        scene=record.id,
        prefix=AGAIN if isinstance(played, Replay) else "",
        cast=record.cast,
        names={role.id: role.name for role in record.cast},
        events=len(played.events),
        refused=sum(not event.admitted for event in played.events),
        turns=turns(record.cast, played),
        consequences=worst_first(played.consequences),
        severities=severity_counts(played),
        total=total_cost(played.cost, played.seconds),
        calls=None
        if played.calls is None
        else {node: [(number, call) for number, call in numbered if call.node == node] for node in nodes},
    )


def worst_first(consequences: Sequence[Consequence]) -> list[Consequence]:
    """The same, by severity."""
    return sorted(consequences, key=lambda consequence: SEVERITIES.index(consequence.severity))


def severity_counts(played: Played) -> dict[Severity, int]:
    """How many consequences there are of each severity, worst first."""
    return {
        severity: sum(consequence.severity == severity for consequence in played.consequences)
        for severity in SEVERITIES
    }


def worst_severity(played: Played) -> Severity:
    """The worst severity among the consequences; `none` where there are none."""
    return next((severity for severity, count in severity_counts(played).items() if count), "none")


def turns(cast: Sequence[Role], played: Played) -> list[Turn]:
    """The log by turn and role."""
    prompts = prompted_by(played.events, played.consequences)
    follows = followed_by(prompts)
    again = tried_again(played.events)
    consequences = {consequence.event: consequence for consequence in played.consequences}

    def act(event: Event) -> Act:
        return Act(
            event=event,
            consequence=consequences.get(event.id),
            prompted_by=prompts[event.id],
            followed_by=follows[event.id],
            again=again.get(event.id),
            calls=[
                (number, call)
                for number, call in enumerate(played.calls or ())
                if (call.turn, call.role) == (event.turn, event.actor)
            ],
        )

    found = []
    for number in sorted({event.turn for event in played.events}):
        own = [event for event in played.events if event.turn == number]
        acts = {event.actor: act(event) for event in own}
        cells = [
            Cell(role, acts.get(role.id), [event.id for event in own if role.id in event.observers])
            for role in cast
        ]
        found.append(Turn(number, cells))
    return found
