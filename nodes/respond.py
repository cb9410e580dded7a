"""The plain first answer, unless the caller gave one."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import Node, asker_of
from scene.settings import SceneSettings
from scene.state import SceneState
from scene.text import clean


def respond(model: BaseChatModel) -> Node:
    """The node that answers as the model would without any rehearsal."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        given = clean(state.first_answer)
        if given:
            return {"question": state.question, "first_answer": given}
        asker = asker_of(model, runtime, "respond")
        return {
            "question": state.question,
            "first_answer": await asker.answer("respond", {"message": state.question}),
        }

    return run
