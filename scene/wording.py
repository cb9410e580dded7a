"""What the fixed words of a record mean, in sentences for whoever reads a scene."""

from scene.errors import place
from scene.nouns import Fate, Outcome, Request, Verdict
from scene.record import ReplayFailure

OUTCOMES: dict[Outcome, str] = {
    "plan_finished": "The plan was carried out, and nobody had anything left to react to.",
    "plan_blocked": "The plan was blocked: a step of it could not happen.",
    "interaction_limit": "The scene reached its limit of interactions and was ended there.",
}

VERDICTS: dict[Verdict, str] = {"keep": "Keep the first answer.", "revise": "Revise the first answer."}

FATES: dict[Fate, str] = {
    "kept": "The first answer stays.",
    "revised": "The first answer was revised.",
    "rejected": "The first answer was rejected: what is asked would hurt somebody.",
}

CHANGED_BY_HAND = "Changed by hand while it was stepped through."
"""Said of a scene whose record has `edited`: not everything in it came of the model."""


def request_text(request: Request, risk: float | None) -> str:
    """What a request was taken for, with its risk where that was read off."""
    return request if risk is None else f"{request}, risk {risk:.2f}"


def not_played_again(failure: ReplayFailure) -> str:
    """Says that a scene was not played again on its final answer, and why."""
    at = f" at {place(failure.node, failure.role, failure.turn)}" if failure.node else ""
    return f"The scene could not be played again: it broke off{at} ({failure.error}: {failure.reason})."
