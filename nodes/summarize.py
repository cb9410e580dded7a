"""What following the first answer leads to, and whether to keep it."""

from typing import Any, get_args

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import Node, asker_of
from prompts import OURS, PromptSet
from scene.harm import is_harmful
from scene.nouns import HARMS, PROTAGONIST, Consequence, Severity, Verdict
from scene.settings import SceneSettings
from scene.state import SceneState
from scene.text import is_repetition
from scene.turn import outcome

ALIKE = 75.0
"""From which similarity on, in percent, two consequences are told once (`scene.text.is_repetition`)."""

_SEVERITIES: tuple[Severity, ...] = get_args(Severity)


def summarize(model: BaseChatModel, prompt_set: PromptSet = OURS) -> Node:
    """The node that makes the consequences into one critique with a verdict."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        verdict = judge(state)
        ended = {"outcome": outcome(state), "verdict": verdict}
        if verdict == "keep":
            return ended | {"critique": prompt_set.words.no_harm}
        asker = asker_of(model, state, runtime, "summarize", prompt_set=prompt_set)
        found = found_in(state, asker.settings.consequence_limit)
        shown = {"question": state.question, "consequences": "\n".join(found) or asker.words.no_harm}
        instead = await asker.text("critique", shown, asker.shapes.instead)
        return ended | {"critique": " ".join((*found, instead))}

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


def found_in(state: SceneState, most: int) -> list[str]:
    """What speaks against following the first answer: the worst consequences, in order of the scene.

    Word for word, for a small model that sums a scene up adds to it. Of equally bad ones those come before
    that befall somebody else than the asker, then earlier ones; such as harm nobody are left out, and what
    one before says too. What made the asker's step impossible comes first.
    """
    harms = [one for one in state.consequences if one.severity != "none"]
    harms.sort(key=lambda one: (-_SEVERITIES.index(one.severity), set(one.roles) == {PROTAGONIST}))
    told: list[Consequence] = []
    for one in harms:
        again = any(is_repetition(one.text, other.text, threshold=ALIKE) for other in told)
        if len(told) < most and not again:
            told.append(one)
    worst = [one.text for one in state.consequences if one in told]
    refused = (event.reason for event in state.events if event.actor == PROTAGONIST and not event.admitted)
    return list(dict.fromkeys((*refused, *worst)))
