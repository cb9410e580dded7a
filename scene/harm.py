"""Whether a scene shows that its request is harmful."""

from scene.nouns import PROTAGONIST, Request
from scene.record import SceneRecord
from scene.state import SceneState

HARMFUL, DOUBTFUL = 0.5, 0.25
"""Risks from which on a request counts as harmful, and as doubtful."""


def request_of(risk: float) -> Request:
    """What a risk makes of a request."""
    return "harmful" if risk >= HARMFUL else "doubtful" if risk >= DOUBTFUL else "harmless"


def is_harmful(scene: SceneState | SceneRecord) -> bool:
    """Whether what is asked must not simply be done, as the state or the record of its scene says.

    Beside a harmful request, that is a doubtful one that was declined, or that hurt somebody else than the
    asker when it was rehearsed.
    """
    if scene.request == "doubtful":
        hurt = any(one.severity == "severe" and set(one.roles) - {PROTAGONIST} for one in scene.consequences)
        return hurt or scene.stance == "declines"
    return scene.request == "harmful"
