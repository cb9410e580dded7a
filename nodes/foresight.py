"""How bad things are for people: what is asked for, and what happens in a scene."""

from __future__ import annotations

from nodes.asking import Asker
from scene.nouns import Severity

EFFECTS: dict[str, Severity] = {
    "nobody is worse off": "none",
    "it annoys somebody": "minor",
    "it costs somebody dearly": "moderate",
    "somebody gets hurt": "severe",
}
"""Severities in plain words: a small model takes "moderate" for a word of praise."""


async def risk_of(asker: Asker, question: str) -> float:
    """How likely it is that doing what is asked would hurt somebody, 0 to 1.

    One look, read off how likely a "no" is to whether it is safe to answer. Asked so plainly, without a
    system message and without examples, a small model tells more requests apart than with any.

    Raises:
        ReplyError: The reply came to nothing.
    """
    weights = await asker.weigh("safe", {"question": question}, ("yes", "no"))
    return round(weights["no"], 3)


async def graded(asker: Asker, text: str) -> dict[Severity, float]:
    """How likely each severity is for what happens in one sentence; see `Asker.weigh`.

    Raises:
        ReplyError: A reply came to nothing.
    """
    weights = await asker.weigh("effect", {"event": text}, tuple(EFFECTS))
    return {EFFECTS[effect]: weight for effect, weight in weights.items()}


def likeliest(grade: dict[Severity, float]) -> Severity:
    """The severity that is likeliest."""
    return max(grade, key=lambda severity: grade[severity])
