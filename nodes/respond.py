"""The plain first answer, unless the caller gave one."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime
from langgraph.types import Overwrite

from nodes.asking import Node, asker_of
from prompts import OURS, PromptSet
from scene.settings import SceneSettings
from scene.state import SceneInput, SceneState


def respond(model: BaseChatModel, prompt_set: PromptSet = OURS) -> Node:
    """The node that answers as the model would without any rehearsal."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        begun = SceneState(question=state.question, history=state.history, system=state.system)
        asker = asker_of(model, begun, runtime, "respond", prompt_set=prompt_set)
        first_answer = state.first_answer
        if not first_answer:
            asker.tell("the first answer")
            first_answer = await asker.answer("respond", {"message": state.question})
        return {
            **_reset(state, begun),
            "question": state.question,
            "first_answer": first_answer,
            **({"history": state.history} if state.history else {}),
            **({"system": state.system} if state.system else {}),
            "settings": asker.settings,
            **({"prompts": prompt_set.mark} if prompt_set.mark else {}),
        }

    return run


def _reset(state: SceneState, begun: SceneState) -> dict[str, Any]:
    """The channels that an earlier scene of the same thread has left, as they are when a scene begins."""
    channels = set(SceneState.model_fields) - set(SceneInput.model_fields)
    left = {name: getattr(begun, name) for name in channels if getattr(state, name) != getattr(begun, name)}
    if "proposals" in left:  # its reducer would keep those of the later turn
        left["proposals"] = Overwrite([])
    return left
