"""Admitted events enter the log and the inboxes of those who noticed; each is judged for what it leads to."""

import re
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import Asker, Node, asker_of
from nodes.foresight import graded, likeliest
from nodes.modulator_routing import ruling_text
from nodes.script import begins_with, role_form, ruling_values, scene_text
from nodes.together import together
from prompts import OURS, PromptSet
from scene.nouns import PROTAGONIST, Consequence, Event
from scene.settings import SceneSettings
from scene.state import SceneState


def modulator_update(model: BaseChatModel, prompt_set: PromptSet = OURS) -> Node:
    """The node that lets the turn's rulings take effect."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        asker = asker_of(model, state, runtime, "modulator_update", state.turn, prompt_set=prompt_set)
        admitted = [event for event in state.rulings if event.admitted]
        new = await together(_consequence(asker.about(event.actor), state, event) for event in admitted)
        events = [*state.events, *state.rulings]
        consequences = [*state.consequences, *new]
        changes: dict[str, Any] = {
            "events": events,
            "consequences": consequences,
            "inbox": _delivered(state, new),
            "rulings": [],
            "turn": state.turn + 1,
            "budget": max(0, state.budget - len(state.rulings)),  # one can propose more by hand
            **_plan_progress(state),
        }
        later = state.model_copy(update=changes)
        return changes | await _condensed_memory(asker, later)

    return run


def _plan_progress(state: SceneState) -> dict[str, int]:
    """The next step and the refusals of it, after the protagonist's ruling this turn."""
    for event in state.rulings:
        if event.actor == PROTAGONIST:
            if event.admitted:
                return {"step": state.step + 1, "refusals": 0}
            return {"refusals": state.refusals + 1}
    return {}


def _delivered(state: SceneState, new: Sequence[Consequence]) -> dict[str, list[str]]:
    """Inboxes after this turn: who acted has read its own; admitted events go to those whom they move.

    That is whom they befall, and who observes them and has not acted yet: one who has acted and is told of
    nothing but talk says again what it said.
    """
    acted = {event.actor for event in state.rulings}
    ever = acted | {event.actor for event in state.events}
    inbox = {role.id: [] if role.id in acted else list(state.inbox.get(role.id, ())) for role in state.cast}
    for event in state.rulings:
        befallen = {role for one in new if one.event == event.id for role in one.roles} - {event.actor}
        for role in state.cast:
            if role.id != PROTAGONIST and (  # goes on by plan, not by what it hears
                role.id in befallen or (role.id in event.observers and role.id not in ever)
            ):
                inbox[role.id].append(event.id)
    return inbox


async def _consequence(asker: Asker, state: SceneState, event: Event) -> Consequence:
    """What an event leads to: asked about in the conversation that admitted it, then graded by itself.

    It falls on whom its sentence begins with, whatever ids come before it: a small model names another one
    in a quarter of its lines.
    """
    words = asker.words
    shape = asker.shapes.consequence(role_form(state))
    shown = ruling_values(state, event, words.nothing_happened)
    ruling = asker.prompts.load("routing").filled(shown), ruling_text(event, words)
    avoid = [one.text for one in state.consequences]
    avoid += [one.text for one in (*state.events, event)]
    said = await asker.text("consequence", {}, shape, history=(ruling,), avoid=avoid)
    whom, _, text = said.partition(": ")
    severity = likeliest(await graded(asker, text))
    roles = tuple(dict.fromkeys(re.findall(r"r\d+", whom)))
    named = begins_with(text, state.cast, words.articles)
    return Consequence(
        event=event.id, text=text, severity=severity, roles=roles if named in (None, *roles) else (named,)
    )


async def _condensed_memory(asker: Asker, state: SceneState) -> dict[str, Any]:
    """The older half of what is remembered word for word, condensed, once there is more than the limit."""
    limit = asker.settings.memory_limit
    if len(state.events) - state.remembered <= limit:
        return {}
    upto = len(state.events) - limit // 2
    old = state.model_copy(update={"events": state.events[:upto]})
    told = {"scene": scene_text(old, asker.words.nothing_happened)}
    return {"memory": await asker.text("memory", told, asker.shapes.memory), "remembered": upto}
