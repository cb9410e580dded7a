"""The social modulator of the paper: it decides what can happen and who gets to know of it."""

from __future__ import annotations

import re
from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import Asker, Node, asker_of
from nodes.prose import INNER, Lines
from nodes.script import role_form, ruling_values
from nodes.together import together
from scene.nouns import Event, Proposal, RoleId, event_number
from scene.settings import SceneSettings
from scene.state import SceneState
from scene.text import is_repetition

NOBODY = "nobody"

SURELY = 0.8
"""How likely a "no" has to be to refuse an action. Drawn like other words it comes too often."""

_REFUSED = rf"no, [a-z]{INNER}{{8,}}"

_RULING = re.compile(r"(?:yes, (?P<place>.+): (?P<observers>.+)|no, (?P<reason>.+))")


def modulator_routing(model: BaseChatModel) -> Node:
    """The node that rules on this turn's proposals. One decision each: what is refused stays refused."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        asker = asker_of(model, state, runtime, "modulator_routing", state.turn)
        first = event_number(state.events[-1].id) + 1 if state.events else 0
        rulings = await together(
            _rule(asker.about(proposal.actor), state, proposal, f"e{first + offset}")
            for offset, proposal in enumerate(state.proposals)
        )
        return {"rulings": rulings}

    return run


def ruling_text(event: Event) -> str:
    """The ruling that admitted an event, as the modulator gave it."""
    return f"yes, {event.reason}: {', '.join(event.observers) or NOBODY}"


async def _rule(asker: Asker, state: SceneState, proposal: Proposal, event_id: str) -> Event:
    """The event that a proposal becomes, admitted or not. Who says again what was done is not asked about."""
    for event in state.events:
        if event.admitted and proposal.step is None and is_repetition(proposal.text, event.text):
            return _event(event_id, proposal, f"Says again what was done in {event.id}.", admitted=False)
    shown = ruling_values(state, proposal)
    weights = await asker.weigh("routing", shown, ("yes", "no"))
    form = _REFUSED if weights["no"] >= SURELY else _admitted(state)
    said = await asker.text("routing", shown, Lines((form,)), own_words=False)
    ruling = _RULING.fullmatch(said)
    assert ruling is not None  # the shape is a narrower one
    if reason := ruling["reason"]:
        return _event(event_id, proposal, f"{reason[:1].upper()}{reason[1:]}.", admitted=False)
    named = dict.fromkeys(re.findall(r"r\d+", ruling["observers"]))
    observers = tuple(
        sorted((role for role in named if role != proposal.actor), key=lambda role: int(role[1:]))
    )
    return _event(event_id, proposal, ruling["place"], admitted=True, observers=observers)


def _admitted(state: SceneState) -> str:
    """A ruling that lets an action happen: where, and who gets to know of it, by id.

    The one who acts may be named too and is left out afterwards: names, or a list for each who acts, would
    make another grammar for every scene, a quarter of a second to compile and megabytes to keep.
    """
    role = role_form(state)
    return rf"yes, [a-z][A-Za-z' -]{{3,40}}: (?:{NOBODY}|{role}(?:, {role}){{0,{len(state.cast) - 1}}})"


def _event(
    event_id: str, proposal: Proposal, reason: str, *, admitted: bool, observers: tuple[RoleId, ...] = ()
) -> Event:
    return Event(
        id=event_id,
        turn=proposal.turn,
        actor=proposal.actor,
        text=proposal.text,
        observers=observers,
        admitted=admitted,
        reason=reason,
        step=proposal.step,
    )
