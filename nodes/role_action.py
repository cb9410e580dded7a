"""One role acts: the protagonist takes its next step, anybody else reacts to what it noticed."""

from __future__ import annotations

from typing import Any, Protocol

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import Asker, asker_of, sentences
from scene.nouns import Proposal
from scene.settings import SceneSettings
from scene.text import is_repetition
from scene.turn import Cue

NOTHING = "Nothing before this."


class RoleNode(Protocol):
    """An async function from one role's cue to its proposal."""

    async def __call__(self, state: Cue, *, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        """Act as the cue's role."""
        ...


def role_action(model: BaseChatModel) -> RoleNode:
    """The node that speaks for one role. It gets a cue, not the state: it can't know more than the role."""

    async def run(state: Cue, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        cue = state
        text = cue.step_text or await _react(asker_of(model, runtime, "role_action", cue.turn), cue)
        proposal = Proposal(turn=cue.turn, actor=cue.role.id, text=text, step=cue.step)
        return {"proposals": [proposal]}

    return run


async def _react(asker: Asker, cue: Cue) -> str:
    heard = [line.partition(": ")[2].strip('"') for line in (*cue.known, *cue.news)]

    def check(text: str) -> str | None:
        return "repeats what happened" if any(is_repetition(text, line) for line in heard) else None

    values = {
        "name": cue.role.name,
        "traits": cue.role.traits,
        "position": cue.role.position,
        "known": "\n".join(cue.known) or NOTHING,
        "news": "\n".join(cue.news),
    }
    return await asker.about(cue.role.id).text("role_action", values, sentences(2, "I "), prefer=check)
