"""Edge functions: pure, from the state to who acts next."""

from __future__ import annotations

from typing import Literal

from langgraph.types import Send

from scene.state import SceneState
from scene.turn import acting, cue


def first_turn(state: SceneState) -> list[Send]:
    """The protagonist takes the first step of the plan."""
    return _acts(state)


def next_turn(state: SceneState) -> list[Send] | Literal["summarize"]:
    """The protagonist while plan steps remain, and every role with something unread; else the summary."""
    return _acts(state) or "summarize"


def _acts(state: SceneState) -> list[Send]:
    return [Send("role_action", cue(state, role_id)) for role_id in acting(state)]
