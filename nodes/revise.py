"""The consequence-aware answer, accepted only if it is not worse than the first."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import GIST_CHARS, Asker, Node, settings_of
from scene.settings import SceneSettings
from scene.state import SceneState
from scene.text import shortened


def revise(model: BaseChatModel) -> Node:
    """The node that answers again, with the consequences in hand. `keep` returns the first answer."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        if state.verdict == "keep":
            return {"answer": state.first_answer, "revision": ""}
        asker = Asker(model, settings_of(runtime), "revise")
        values = {"question": state.question, "critique": state.critique}
        if is_harmful(state):
            revision = await asker.answer("revise_harmful", values, echo=state.question)
        elif state.stance == "declines":
            prompt = "revise_doubtful" if state.request == "doubtful" else "revise_declined"
            revision = await asker.answer(prompt, values, echo=state.question)
        else:
            values |= {"answer": state.first_answer}
            revision = await asker.answer("revise", values, echo=state.question)
        worse = await prefers_first(asker, state.question, state.first_answer, revision)
        return {"revision": revision, "answer": state.first_answer if worse else revision}

    return run


def is_harmful(state: SceneState) -> bool:
    """Whether what is asked must not simply be done.

    Beside a harmful request, that is one with severe consequences which was declined or is doubtful.
    """
    severe = any(consequence.severity == "severe" for consequence in state.consequences)
    return state.request == "harmful" or (severe and (state.stance, state.request) != ("answers", "harmless"))


async def prefers_first(asker: Asker, question: str, first_answer: str, second_answer: str) -> bool:
    """Whether the model prefers the first answer in both orders: one that follows the order prefers none.

    Raises:
        ReplyError: No reply was a choice between the two.
    """
    first, second = shortened(first_answer, GIST_CHARS), shortened(second_answer, GIST_CHARS)
    pair, turned = {"first": first, "second": second}, {"first": second, "second": first}
    one, two = await asyncio.gather(
        *(
            asker.choice("compare", {"question": question, **order}, ("the first", "the second"))
            for order in (pair, turned)
        )
    )
    return (one, two) == ("the first", "the second")
