"""The scene as text for the modulator's prompts."""

import re
from collections.abc import Iterable

from scene.nouns import Event, Proposal, Role, RoleId
from scene.state import SceneState


def scene_text(state: SceneState, nothing: str) -> str:
    """What has happened so far: the condensed past, then recent events one a line, admitted ones only."""
    recent = [state.told(event) for event in state.events[state.remembered :] if event.admitted]
    lines = [state.memory, *recent] if state.memory else recent
    return "\n".join(lines) or nothing


def role_form(state: SceneState) -> str:
    """A regular expression of the ids in the cast, the same one for all casts of that size."""
    return rf"r(?:{'|'.join(role.id[1:] for role in state.cast)})"


def ruling_values(state: SceneState, action: Event | Proposal, nothing: str) -> dict[str, str]:
    """What the modulator is shown to rule on an action."""
    return {
        "situation": state.situation,
        "people": ", ".join(f"{role.id} {role.name}" for role in state.cast),
        "scene": scene_text(state, nothing),
        "action": state.told(action),
    }


def begins_with(text: str, cast: Iterable[Role], articles: Iterable[str]) -> RoleId | None:
    """Whom a sentence begins with, after an article or none; None where that is nobody of the cast.

    Of names that begin alike the longest counts, and none does in the genitive: "the tenant's dog" is no
    tenant.
    """
    article = f"(?:(?:{'|'.join(map(re.escape, articles))}) )?"
    for role in sorted(cast, key=lambda role: -len(role.name)):
        if re.match(rf"{article}{re.escape(role.name)}(?![\w'’-])", text, re.IGNORECASE):
            return role.id
    return None
