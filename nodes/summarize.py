"""What following the first answer leads to, and whether to keep it."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import GIST_CHARS, Node, asker_of
from nodes.prose import Prose
from scene.harm import is_harmful
from scene.nouns import HARMS, PROTAGONIST, Consequence, Verdict
from scene.settings import SceneSettings
from scene.state import SceneState
from scene.text import shortened
from scene.turn import outcome

HELP = "What helps the asker and hurts nobody is "

CRITIQUE = Prose(3, end=HELP)

DECLINED = "I can't help with that."
"""Stands for a refusal. One that is shown as it was is readily said again, word for word."""

NO_HARM = "Nothing that followed did anybody any harm."


def summarize(model: BaseChatModel) -> Node:
    """The node that integrates the consequences into one critique with a verdict."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        verdict = judge(state)
        ended = {"outcome": outcome(state), "verdict": verdict}
        if verdict == "keep":
            return ended | {"critique": NO_HARM}
        asker = asker_of(model, state, runtime, "summarize")
        return ended | {"critique": await asker.text("critique", critique_values(state), CRITIQUE)}

    return run


def judge(state: SceneState) -> Verdict:
    """Whether the first answer has to be revised.

    It has when a consequence costs or hurts somebody, when the asker was turned away or could not do what
    it leads to, and when what is asked would hurt somebody.

    A rule rather than a question to the model: small models asked for a verdict in one word give the same
    one every time, while the severities of single events do tell answers apart.
    """
    harmful = is_harmful(state) or any(consequence.severity in HARMS for consequence in state.consequences)
    blocked = outcome(state) == "plan_blocked"
    return "revise" if harmful or state.stance == "declines" or blocked else "keep"


def critique_values(state: SceneState) -> dict[str, str]:
    """What is shown of a scene to learn from it."""
    return {
        "question": state.question,
        "answer": DECLINED if state.stance == "declines" else shortened(state.first_answer, GIST_CHARS),
        "consequences": consequences_text(state),
    }


def consequences_text(state: SceneState) -> str:
    """What the asker did and what came of everything, one a line, after the condensed older consequences."""
    came = {consequence.event: consequence for consequence in state.consequences[state.digested :]}

    def line(consequence: Consequence) -> str:
        names = ", ".join(state.name(role) for role in consequence.roles)
        return f"{names}: {consequence.text}"

    lines = [state.digest] if state.digest else []
    for event in state.events:
        if not event.admitted and event.actor == PROTAGONIST:
            lines.append(f"{state.told(event)} That was not possible: {event.reason}")
        elif event.admitted and event.actor == PROTAGONIST and event.id in came:
            lines.append(state.told(event))
        if event.id in came:
            lines.append(line(came[event.id]))
    return "\n".join(lines) or NO_HARM
