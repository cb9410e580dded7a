"""The consequence-aware answer, and which of two answers a model prefers."""

from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import GIST_CHARS, Asker, Node, asker_of
from nodes.together import together
from prompts import OURS, PromptSet
from scene.harm import is_harmful
from scene.settings import SceneSettings
from scene.state import SceneState
from scene.text import shortened

Place = Literal["first", "second"]


def revise(model: BaseChatModel, prompt_set: PromptSet = OURS) -> Node:
    """The node that answers again, with the consequences in hand. `keep` returns the first answer."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        if state.verdict == "keep":
            return {"answer": state.first_answer, "revision": "", "fate": "kept"}
        asker = asker_of(model, state, runtime, "revise", prompt_set=prompt_set)
        harmful = is_harmful(state)
        declined = state.stance == "declines"
        prompt = "revise_harmful" if harmful else "revise_declined" if declined else "revise"
        # Who was in the scene is nothing to the asker; whom it would hurt is, where it would.
        harm, begins, helps = state.critique.rpartition(prompt_set.words.help)
        critique = (harm if harmful else begins + helps).strip() or state.critique
        learned = {"question": state.question, "critique": critique}
        revision = await asker.answer(prompt, learned, echo=state.question, own_words=harmful)
        return {"revision": revision, "answer": revision, "fate": "rejected" if harmful else "revised"}

    return run


async def prefers_first(asker: Asker, question: str, first_answer: str, second_answer: str) -> bool:
    """Whether the model prefers the first answer in both orders: one that follows the order prefers none.

    Raises:
        ReplyError: No reply was a choice between the two.
    """
    one, two = await in_both_orders(asker, "compare", question, first_answer, second_answer, GIST_CHARS)
    return (one, two) == ("first", "second")


async def in_both_orders(
    asker: Asker, prompt: str, question: str, first_answer: str, second_answer: str, chars: int
) -> tuple[Place, Place]:
    """Which place the model prefers, with the answers in this order and with them turned, cut to `chars`.

    Raises:
        ReplyError: No reply was a choice between the two.
    """
    first, second = shortened(first_answer, chars), shortened(second_answer, chars)
    pair, turned = {"first": first, "second": second}, {"first": second, "second": first}
    places: dict[str, Place] = {asker.words.first: "first", asker.words.second: "second"}
    one, two = await together(
        asker.choice(prompt, {"question": question, **order}, tuple(places)) for order in (pair, turned)
    )
    return places[one], places[two]
