"""How bad things are for people: what is asked for, and what happens in a scene."""

import math

from nodes.asking import Asker
from nodes.together import together
from scene.nouns import Severity
from scene.refusal import opens_with_refusal

BIAS, STEEPNESS, REFUSAL = -2.0, 0.76, 0.4
"""The risk's log-odds are `BIAS + STEEPNESS * (safety + REFUSAL * refusal)`, fitted to what the default model
says to 54 harmful questions and 54 that only sound so (docs/experiments.md)."""

CERTAIN = 1e-4
"""No look is surer than this of anything."""


async def risk_of(asker: Asker, question: str, answer: str) -> float:
    """How likely it is that doing what is asked would hurt somebody, 0 to 1, were it so with every other one.

    Two looks, each read off how likely the model finds two replies: a "no" to whether it is safe to answer,
    asked so plainly, without a system message and without examples, by which a small model tells more
    requests apart than with any; and a refusal where it is given nothing but the question. The first tells
    delicate questions apart, the second tells them from all others. Where the model gives no likelihoods, its
    first answer is or is no refusal.

    Raises:
        ReplyError: A reply came to nothing.
    """
    words = asker.words
    looks = [asker.weigh("safe", {"question": question}, (words.yes, words.no))]
    if asker.weighs:
        looks.append(asker.weigh("refusal", {"message": question}, (words.helps, words.declines)))
    safe, *begun = await together(looks)
    refused = begun[0][words.declines] if begun else float(opens_with_refusal(answer, words.refusals))
    odds = BIAS + STEEPNESS * (_log_odds(safe[words.no]) + REFUSAL * _log_odds(refused))
    return round(1 / (1 + math.exp(-odds)), 3)


def _log_odds(probability: float) -> float:
    held = min(max(probability, CERTAIN), 1 - CERTAIN)
    return math.log(held / (1 - held))


async def graded(asker: Asker, text: str) -> dict[Severity, float]:
    """How likely each severity is for what happens in one sentence; see `Asker.weigh`.

    Raises:
        ReplyError: A reply came to nothing.
    """
    effects = asker.words.effects
    weights = await asker.weigh("effect", {"event": text}, tuple(effects.values()))
    return {severity: weights[effect] for severity, effect in effects.items()}


def likeliest(grade: dict[Severity, float]) -> Severity:
    """The severity that is likeliest."""
    return max(grade, key=lambda severity: grade[severity])
