"""Whose turn it is, and when a scene is over: pure functions of the state.

A role's cue holds everything that role may know. Only cues reach the node that speaks for a role, so
what a role did not observe can't leak into its prompt.
"""

from __future__ import annotations

from pydantic import Field

from scene.nouns import PROTAGONIST, Event, Noun, Outcome, Role, RoleId, role_number
from scene.state import SceneState

MAX_REFUSALS = 2
"""A plan step is tried again once, after others have acted; refused twice, the plan is over."""

KNOWN_EVENTS = 6
"""How many past events a role keeps in mind, newest ones."""


class Cue(Noun):
    """What one role gets to know when it is its turn to act."""

    turn: int = Field(ge=1)
    role: Role
    step: int | None = None
    """Index of the plan step to take, for the protagonist."""

    step_text: str = ""
    """That step, taken word for word."""

    known: tuple[str, ...] = ()
    """Earlier events the role observed or caused, oldest first, one line each."""

    news: tuple[str, ...] = ()
    """Events it has observed and not yet reacted to, oldest first, one line each."""


def acting(state: SceneState) -> list[RoleId]:
    """Roles that act this turn, in order of id.

    The protagonist while the plan goes on, and whoever has unread observations. When the interactions left
    don't reach round, those who have acted least go first.
    """
    wanting = [role.id for role in state.cast if role.id != PROTAGONIST and state.inbox.get(role.id)]
    done = {role: sum(event.actor == role for event in state.events) for role in wanting}
    wanting.sort(key=lambda role: (done[role], role_number(role)))
    if plan_goes_on(state):
        wanting.insert(0, PROTAGONIST)
    return sorted(wanting[: state.budget], key=role_number)


def plan_goes_on(state: SceneState) -> bool:
    """Whether the protagonist has a step to take now. A refused step waits until somebody else has acted."""
    if state.step >= len(state.plan) or state.refusals >= MAX_REFUSALS:
        return False
    if state.refusals == 0:
        return True
    refused = max(event.turn for event in state.events if event.actor == PROTAGONIST and not event.admitted)
    return any(event.admitted and event.turn >= refused for event in state.events)


def cue(state: SceneState, role_id: RoleId) -> Cue:
    """Everything a role knows at its turn, and nothing else."""
    (role,) = (role for role in state.cast if role.id == role_id)
    if role_id == PROTAGONIST:
        return Cue(turn=state.turn, role=role, step=state.step, step_text=state.plan[state.step])
    unread = set(state.inbox.get(role_id, ()))
    known = [event for event in state.events if knows(event, role_id) and event.id not in unread]
    news = [event for event in state.events if knows(event, role_id) and event.id in unread]
    return Cue(
        turn=state.turn,
        role=role,
        known=tuple(_told_to(state, event, role_id) for event in known[-KNOWN_EVENTS:]),
        news=tuple(_told_to(state, event, role_id) for event in news),
    )


def knows(event: Event, role_id: RoleId) -> bool:
    """Whether a role observed an event or caused it."""
    return event.admitted and (event.actor == role_id or role_id in event.observers)


def outcome(state: SceneState) -> Outcome:
    """How a scene in which nobody acts any more has ended."""
    unread = any(state.inbox.get(role.id) for role in state.cast if role.id != PROTAGONIST)
    if state.budget <= 0 and (unread or plan_goes_on(state)):
        return "interaction_limit"
    return "plan_finished" if state.step >= len(state.plan) else "plan_blocked"


def _told_to(state: SceneState, event: Event, role_id: RoleId) -> str:
    """An event as one line, from a role's own point of view."""
    return f'{"You" if event.actor == role_id else state.name(event.actor)}: "{event.text}"'
