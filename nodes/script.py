"""The scene as text for the modulator's prompts."""

from __future__ import annotations

from scene.state import SceneState

NOTHING = "Nothing has happened yet."


def scene_text(state: SceneState) -> str:
    """What has happened so far: the condensed past, then recent events one a line, admitted ones only."""
    recent = [state.told(event) for event in state.events[state.remembered :] if event.admitted]
    lines = [state.memory, *recent] if state.memory else recent
    return "\n".join(lines) or NOTHING


def people_text(state: SceneState) -> str:
    """Everybody in the cast with their id, as the modulator refers to them."""
    return ", ".join(f"{role.id} {role.name}" for role in state.cast)
