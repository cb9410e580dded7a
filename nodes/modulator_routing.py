"""The social modulator of the paper: it decides what can happen and who gets to know of it."""

import re
from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import Asker, Node, asker_of
from nodes.script import role_form, ruling_values
from nodes.together import together
from prompts import OURS, PromptSet, Words
from scene.nouns import Event, Proposal, RoleId, event_number
from scene.settings import SceneSettings
from scene.state import SceneState
from scene.text import is_repetition

SURELY = 0.8
"""How likely a "no" has to be to refuse an action. Drawn like other words it comes too often."""


def modulator_routing(model: BaseChatModel, prompt_set: PromptSet = OURS) -> Node:
    """The node that rules on this turn's proposals. One decision each: what is refused stays refused."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        asker = asker_of(model, state, runtime, "modulator_routing", state.turn, prompt_set=prompt_set)
        first = event_number(state.events[-1].id) + 1 if state.events else 0
        rulings = await together(
            _rule(asker.about(proposal.actor), state, proposal, f"e{first + offset}")
            for offset, proposal in enumerate(state.proposals)
        )
        return {"rulings": rulings}

    return run


def ruling_text(event: Event, words: Words) -> str:
    """The ruling that admitted an event, as the modulator gave it."""
    return f"{words.yes}, {event.reason}: {', '.join(event.observers) or words.nobody}"


async def _rule(asker: Asker, state: SceneState, proposal: Proposal, event_id: str) -> Event:
    """The event that a proposal becomes, admitted or not. Who says again what was done is not asked about."""
    words, shapes = asker.words, asker.shapes
    for event in state.events:
        if event.admitted and proposal.step is None and is_repetition(proposal.text, event.text):
            again = words.said_again.format(event=event.id)
            return _event(event_id, proposal, again, admitted=False)
    shown = ruling_values(state, proposal, words.nothing_happened)
    weights = await asker.weigh("routing", shown, (words.yes, words.no))
    admitted = shapes.admitted(role_form(state), len(state.cast))
    shape = shapes.refused if weights[words.no] >= SURELY else admitted
    said = await asker.text("routing", shown, shape, own_words=False)
    place, observing, reason = shapes.ruling(said)
    if reason:
        reason = f"{reason[:1].upper()}{reason[1:]}{words.stop}"
        return _event(event_id, proposal, reason, admitted=False)
    named = dict.fromkeys(re.findall(r"r[0-9]+", observing))
    observers = tuple(
        sorted((role for role in named if role != proposal.actor), key=lambda role: int(role[1:]))
    )
    return _event(event_id, proposal, place, admitted=True, observers=observers)


def _event(
    event_id: str, proposal: Proposal, reason: str, *, admitted: bool, observers: tuple[RoleId, ...] = ()
) -> Event:
    return Event(id=event_id, observers=observers, admitted=admitted, reason=reason, **dict(proposal))
