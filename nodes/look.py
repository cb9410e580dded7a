"""A first answer and the request, looked at before anything is played."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import Node, asker_of
from nodes.role_init import looked_at
from scene.settings import SceneSettings
from scene.state import SceneState


def look(model: BaseChatModel) -> Node:
    """The node that asks what `role_init` asks of the request and the first answer, and nothing else."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        return await looked_at(asker_of(model, state, runtime, "role_init"), state)

    return run


def is_clear(state: SceneState) -> bool:
    """Whether the looks alone settle that the first answer can stay.

    It can where a harmless request was answered, and where a harmful one was declined. What is doubtful, what
    is harmless and was declined, and what is harmful and was answered, only a scene can tell.
    """
    return (state.request, state.stance) in (("harmless", "answers"), ("harmful", "declines"))
