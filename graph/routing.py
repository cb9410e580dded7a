"""Edge functions: pure, from the state to who acts next."""

from collections.abc import Callable
from typing import Literal

from langgraph.types import Send

from prompts import OURS, PromptSet
from scene.state import SceneState
from scene.turn import acting, cue


def turns(prompt_set: PromptSet = OURS) -> Callable[[SceneState], list[Send] | Literal["summarize"]]:
    """The edge function of a scene that is played with some prompts."""
    watched = prompt_set.load("role_action").telltale

    def next_turn(state: SceneState) -> list[Send] | Literal["summarize"]:
        """The protagonist while plan steps remain, and every role with something unread; else the summary."""
        return [Send("role_action", cue(state, role_id, watched)) for role_id in acting(state)] or "summarize"

    return next_turn
