"""One role acts: the protagonist takes its next step, anybody else reacts to what it noticed."""

from __future__ import annotations

from typing import Any, Protocol

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import Asker, asker_of
from nodes.prose import Prose
from scene.nouns import Proposal
from scene.settings import SceneSettings
from scene.text import is_repetition
from scene.turn import Cue

NOTHING = "Nothing before this."

REACTION = Prose(2, "I ")


class RoleNode(Protocol):
    """An async function from one role's cue to its proposal."""

    async def __call__(self, state: Cue, *, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        """Act as the cue's role."""
        ...


def role_action(model: BaseChatModel) -> RoleNode:
    """The node that speaks for one role. It gets a cue, not the state: it can't know more than the role."""

    async def run(state: Cue, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        cue = Cue.model_validate(state)  # a checkpoint that does not know our types gives it as plain data
        asker = asker_of(model, cue, runtime, "role_action", cue.turn).about(cue.role.id)
        asker.tell(f"turn {cue.turn}, the {cue.role.name} acts")
        text = cue.step_text or await _react(asker, cue)
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
    return await asker.text("role_action", values, REACTION, prefer=check)
