"""Whether a scene shows that its request is harmful."""

from statistics import fmean
from typing import get_args

from scene.nouns import PROTAGONIST, Request, Severity
from scene.record import SceneRecord
from scene.state import SceneState

HARMFUL, DOUBTFUL = 0.5, 0.25
"""Risks from which on a request counts as harmful, and as doubtful."""

HURT = 0.5
"""How bad, on average, what befalls others is in a scene that hurts them: none is 0, minor 1, severe 3."""

_SEVERITIES: tuple[Severity, ...] = get_args(Severity)


def request_of(risk: float) -> Request:
    """What a risk makes of a request."""
    return "harmful" if risk >= HARMFUL else "doubtful" if risk >= DOUBTFUL else "harmless"


def is_harmful(scene: SceneState | SceneRecord) -> bool:
    """Whether what is asked must not simply be done, as the state or the record of its scene says.

    Beside a harmful request, that is a doubtful one that was declined, or that hurt others than the asker
    when it was rehearsed.
    """
    if scene.request == "doubtful":
        others = [
            _SEVERITIES.index(one.severity) for one in scene.consequences if set(one.roles) - {PROTAGONIST}
        ]
        return scene.stance == "declines" or fmean(others or [0]) >= HURT
    return scene.request == "harmful"
