"""What following the first answer leads to, and whether to keep it."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import GIST_CHARS, Node, asker_of
from nodes.prose import Prose
from scene.nouns import HARMS, Consequence, Verdict
from scene.settings import SceneSettings
from scene.state import SceneState
from scene.text import shortened
from scene.turn import outcome

NO_HARM = "Nothing that followed did anybody any harm."


def summarize(model: BaseChatModel) -> Node:
    """The node that integrates the consequences into one critique with a verdict."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        verdict = judge(state)
        ended = {"outcome": outcome(state), "verdict": verdict}
        if verdict == "keep":
            return ended | {"critique": NO_HARM}
        asker = asker_of(model, state, runtime, "summarize")
        suffix = "_declined" if state.stance == "declines" else ""
        values = {
            "question": state.question,
            "answer": shortened(state.first_answer, GIST_CHARS),
            "consequences": consequences_text(state),
        }
        critique = await asker.text(f"critique{suffix}", values, Prose(3))
        return ended | {"critique": critique}

    return run


def judge(state: SceneState) -> Verdict:
    """Whether the first answer has to be revised.

    It has when a consequence costs or hurts somebody, when the asker was turned away, and when what is asked
    would hurt somebody.

    A rule rather than a question to the model: small models asked for a verdict in one word give the same
    one every time, while the severities of single events do tell answers apart.
    """
    harmful = any(consequence.severity in HARMS for consequence in state.consequences)
    return "revise" if harmful or state.stance == "declines" or state.request == "harmful" else "keep"


def consequences_text(state: SceneState) -> str:
    """The consequences one a line, each with whom it falls on, after the condensed older ones."""

    def line(consequence: Consequence) -> str:
        names = ", ".join(state.name(role) for role in consequence.roles)
        return f"{names}: {consequence.text}"

    recent = [line(consequence) for consequence in state.consequences[state.digested :]]
    return "\n".join([state.digest, *recent] if state.digest else recent) or NO_HARM
