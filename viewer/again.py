"""What a scene played again on its final answer changed: what went, what stayed, what came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scene.comparison import harms
from scene.nouns import Consequence, EventId
from scene.record import Replay, SceneRecord
from viewer.log import Log, log_of, worst_first

Removal = Literal["all", "most", "some", "none", "more", "harmless"]
"""How many of its harms a final answer removed; `harmless` where the first answer had none."""

MOST = 0.5
"""Share from which on it is most of them."""


@dataclass(frozen=True)
class Again:
    """A replay beside its scene.

    What `went`, `stayed` (as it was and as it is) and `came` is worst first. `fates` has for each
    consequence of the first scene, by its event, the place that says what became of it.
    """

    replay: Replay
    log: Log
    had: int
    has: int
    went: Sequence[Consequence]
    stayed: Sequence[tuple[Consequence, Consequence]]
    came: Sequence[Consequence]
    fates: Mapping[EventId, str]

    @property
    def most(self) -> int:
        """The larger number of consequences of the two, so that both are drawn to one scale."""
        return max(sum(self.log.severities.values()), len(self.went) + len(self.stayed), 1)


def again_of(record: SceneRecord) -> Again | None:
    """The replay of a scene, where there is one."""
    replay = record.replay
    if replay is None:
        return None
    log = log_of(record, replay)
    before = {consequence.event: consequence for consequence in record.consequences}
    after = {consequence.event: consequence for consequence in replay.consequences}
    first_of = {other: one for one, other in replay.stayed}
    return Again(
        replay=replay,
        log=log,
        had=harms(record.consequences),
        has=harms(replay.consequences),
        went=worst_first([before[event] for event in replay.went]),
        stayed=[
            (before[first_of[now.event]], now) for now in worst_first([after[event] for event in first_of])
        ],
        came=worst_first([after[event] for event in replay.came]),
        fates={event: log.at(f"went-{event}") for event in replay.went}
        | {one: log.at(f"c-{other}") for one, other in replay.stayed},
    )


def harm_counts(record: SceneRecord) -> tuple[int, int] | None:
    """Harms on the first answer and on the final one; None where that was not looked at.

    A first answer that stayed is not played again: it leads to what it led to.
    """
    if removal(record) is None:
        return None
    after = record.consequences if record.replay is None else record.replay.consequences
    return harms(record.consequences), harms(after)


def removal(record: SceneRecord) -> Removal | None:
    """How many harms went, as a filter has it; None where that was not looked at."""
    share = record.harms_removed
    if share is None:
        return "harmless" if record.replay is not None else None
    if share <= 0:
        return "more" if share < 0 else "none"
    if share < 1:
        return "most" if share >= MOST else "some"
    return "all"
