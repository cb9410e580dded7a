"""The social modulator of the paper: it decides what can happen and who gets to know of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime
from pydantic import BaseModel, Field, create_model

from nodes.asking import Asker, Node, asker_of
from nodes.prose import SENTENCE
from nodes.script import people_text, scene_text
from nodes.together import together
from scene.nouns import Event, Proposal, Role, RoleId, event_number
from scene.settings import SceneSettings
from scene.state import SceneState
from scene.text import is_repetition

YesNo = Literal["yes", "no"]

PLACE = r"^[a-z][A-Za-z' -]{3,40}$"
"""Where an action happens. Said first, it makes for fewer observers who can't be there."""


class Ruling(BaseModel):
    """Whether an action can happen; the check comes first, so that the decision follows from it."""

    check: Annotated[str, Field(pattern=SENTENCE)]
    result: Literal["it happens", "it can't happen"]
    place: Annotated[str, Field(pattern=PLACE)]


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


async def _rule(asker: Asker, state: SceneState, proposal: Proposal, event_id: str) -> Event:
    """The event that a proposal becomes, admitted or not. Who says again what was done is not asked about."""
    for event in state.events:
        if event.admitted and proposal.step is None and is_repetition(proposal.text, event.text):
            return _event(event_id, proposal, f"Says again what was done in {event.id}.", admitted=False)
    others = [role for role in state.cast if role.id != proposal.actor]
    values = {
        "situation": state.situation,
        "people": people_text(state),
        "scene": scene_text(state),
        "action": state.told(proposal),
    }
    ruling = await asker.reply("routing", values, _form(others))
    if ruling.result != "it happens":
        return _event(event_id, proposal, ruling.check, admitted=False)
    observers = tuple(role.id for role in others if getattr(ruling, role.id) == "yes")
    return _event(event_id, proposal, ruling.check, admitted=True, observers=observers)


def _form(others: list[Role]) -> type[Ruling]:
    """A ruling with a yes or a no for every other role, by id: a choice from the cast.

    Names would make another grammar for every scene, a quarter of a second to compile and megabytes to keep.
    """
    fields: dict[str, Any] = {role.id: (YesNo, ...) for role in others}
    return create_model("RulingReply", __base__=Ruling, **fields)


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
