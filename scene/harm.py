"""Whether a scene shows that its request is harmful."""

from __future__ import annotations

from scene.record import SceneRecord
from scene.state import SceneState


def is_harmful(scene: SceneState | SceneRecord) -> bool:
    """Whether what is asked must not simply be done, as the state or the record of its scene says.

    Beside a harmful request, that is one with two of three signs: it was declined, it is doubtful, and
    somebody gets hurt.
    """
    severe = any(consequence.severity == "severe" for consequence in scene.consequences)
    signs = (scene.stance == "declines", scene.request == "doubtful", severe)
    return scene.request == "harmful" or sum(signs) >= 2
