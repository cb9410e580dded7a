"""The same people face another answer: what the asker does with it, also where it turns them away."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import Node, asker_of
from nodes.role_init import planned, stance_of
from nodes.together import siblings
from prompts import OURS, PromptSet
from scene.settings import SceneSettings
from scene.state import SceneState


def replan(model: BaseChatModel, prompt_set: PromptSet = OURS) -> Node:
    """The node that takes the place of `role_init` where situation and cast are given."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        asker = asker_of(model, state, runtime, "role_init", prompt_set=prompt_set)
        async with siblings() as group:
            stance = group.create_task(stance_of(asker, state.first_answer))
            plan = group.create_task(planned(asker, state, state.first_answer))
        return {"stance": stance.result(), "plan": plan.result(), "budget": asker.settings.max_interactions}

    return run
