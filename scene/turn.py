"""Whose turn it is, and when a scene is over: pure functions of the state.

A role's cue holds everything that role may know. Only cues reach the node that speaks for a role, so
what a role did not observe can't leak into its prompt.
"""

import re

from pydantic import Field

from scene.nouns import PROTAGONIST, Event, Noun, Outcome, Role, RoleId, role_number
from scene.settings import SceneSettings
from scene.state import SceneState

MAX_REFUSALS = 2
"""A plan step is tried again once, after others have acted; refused twice, the plan is over."""

MOST_MOMENTS = 4
"""How many of its acts a role keeps in mind, newest ones."""


class Moment(Noun):
    """What a role noticed, oldest first and one line each, and what it did then in its own words."""

    news: tuple[str, ...]
    act: str


class Cue(Noun):
    """What one role gets to know when it is its turn to act.

    Attributes:
        step: Index of the plan step to take, for the protagonist.
        step_text: That step, taken word for word.
        past: What it noticed and did before, oldest first.
        news: Events it has observed and not yet reacted to, oldest first, one line each.
        material: Words of the scene that a reply may have by itself. Never part of a prompt.
    """

    turn: int = Field(ge=1)
    role: Role
    step: int | None = None
    step_text: str = ""
    past: tuple[Moment, ...] = ()
    news: tuple[str, ...] = ()
    settings: SceneSettings | None = None
    prompts: str = ""
    material: str = ""


def acting(state: SceneState) -> list[RoleId]:
    """Roles that act this turn, in order of id.

    The protagonist while the plan goes on, and whoever has unread observations. Interactions that the steps
    left will take are kept free for them; when the others don't reach round, those who have acted least go
    first. Nobody acts once the plan is paused for good.
    """
    if plan_is_blocked(state) or state.budget <= 0:
        return []
    wanting = [role.id for role in state.cast if role.id != PROTAGONIST and state.inbox.get(role.id)]
    done = {role: sum(event.actor == role for event in state.events) for role in wanting}
    wanting.sort(key=lambda role: (done[role], role_number(role)))
    free = state.budget - (len(state.plan) - state.step)
    if plan_goes_on(state):
        return [PROTAGONIST, *sorted(wanting[: max(0, free)], key=role_number)]
    waits = state.step < len(state.plan)  # for somebody to act, so somebody may
    return sorted(wanting[: max(int(waits), free)], key=role_number)


def plan_is_blocked(state: SceneState) -> bool:
    """Whether the plan is paused for good: its step was refused as often as it is tried."""
    return state.step < len(state.plan) and state.refusals >= MAX_REFUSALS


def plan_goes_on(state: SceneState) -> bool:
    """Whether the protagonist has a step to take now. A refused step waits until somebody else has acted."""
    if state.step >= len(state.plan) or plan_is_blocked(state):
        return False
    if state.refusals == 0:
        return True
    refused = max(event.turn for event in state.events if event.actor == PROTAGONIST and not event.admitted)
    return any(event.admitted and event.turn >= refused for event in state.events)


def cue(state: SceneState, role_id: RoleId, watched: frozenset[str] = frozenset()) -> Cue:
    """Everything a role knows at its turn, and nothing else.

    Watched words would give a reply away as copied, were the scene not about them itself.
    """
    (role,) = (role for role in state.cast if role.id == role_id)
    known = Cue(turn=state.turn, role=role, settings=state.settings, prompts=state.prompts)
    if role_id == PROTAGONIST:
        return known.model_copy(update={"step": state.step, "step_text": state.plan[state.step]})
    unread = set(state.inbox.get(role_id, ()))
    past: list[Moment] = []
    heard: list[str] = []
    # What others did in the turn of an act of its own, it noticed after that.
    for event in sorted(state.events, key=lambda event: (event.turn, event.actor != role_id)):
        if event.id in unread:
            continue
        if event.actor == role_id and event.admitted:
            past.append(Moment(news=tuple(heard), act=event.text))
            heard = []
        else:
            heard += _news(state, event, role_id)
    news = [line for event in state.events if event.id in unread for line in _news(state, event, role_id)]
    seen = watched & set(re.findall(r"\w+", state.material.casefold()))
    told = {"past": tuple(past[-MOST_MOMENTS:]), "news": (*heard, *news), "material": " ".join(sorted(seen))}
    return known.model_copy(update=told)


def knows(event: Event, role_id: RoleId) -> bool:
    """Whether a role observed an event or caused it."""
    return event.admitted and (event.actor == role_id or role_id in event.observers)


def outcome(state: SceneState) -> Outcome:
    """How a scene in which nobody acts any more has ended."""
    unread = any(state.inbox.get(role.id) for role in state.cast if role.id != PROTAGONIST)
    if state.budget <= 0 and not plan_is_blocked(state) and (unread or plan_goes_on(state)):
        return "interaction_limit"
    return "plan_finished" if state.step >= len(state.plan) else "plan_blocked"


def _news(state: SceneState, event: Event, role_id: RoleId) -> list[str]:
    """What of an event reaches somebody else: what was done, to who observes it, and what befalls oneself."""
    done = [f'{state.name(event.actor)}: "{event.text}"'] if knows(event, role_id) else []
    return done + [one.text for one in state.consequences if one.event == event.id and role_id in one.roles]
