"""The same people face another answer: what follows from it, and what the asker does with it."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import GIST_CHARS, Node, asker_of
from nodes.prose import Prose
from nodes.role_init import plan_reply, stance_of
from nodes.together import siblings
from scene.nouns import PROTAGONIST
from scene.settings import SceneSettings
from scene.state import SceneState
from scene.text import shortened


def replan(model: BaseChatModel) -> Node:
    """The node that takes the place of `role_init` where situation, goal and cast are given."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        asker = asker_of(model, state, runtime, "role_init")
        settings = asker.settings
        stance = await stance_of(asker, state.first_answer)
        suffix = "_declined" if stance == "declines" else ""
        answered = {
            "question": state.question,
            "situation": state.situation,
            "answer": shortened(state.first_answer, GIST_CHARS),
        }
        steps = {"steps": str(settings.steps)} | ({"goal": state.goal} if suffix else {})
        form = plan_reply(settings.steps)
        async with siblings() as group:
            outlook = group.create_task(asker.text(f"outlook{suffix}", answered, Prose(3)))
            plan = group.create_task(asker.about(PROTAGONIST).reply(f"plan{suffix}", answered | steps, form))
        return {
            "stance": stance,
            "outlook": outlook.result(),
            "plan": plan.result().model_dump()["steps"],
            "budget": settings.max_interactions,
        }

    return run
