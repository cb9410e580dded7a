"""Edge functions: pure, from the state to who acts next."""

from __future__ import annotations

from typing import Literal

from langgraph.types import Send

import prompts
from scene.state import SceneState
from scene.turn import acting, cue


def next_turn(state: SceneState) -> list[Send] | Literal["summarize"]:
    """The protagonist while plan steps remain, and every role with something unread; else the summary."""
    watched = prompts.load("role_action").telltale
    return [Send("role_action", cue(state, role_id, watched)) for role_id in acting(state)] or "summarize"
