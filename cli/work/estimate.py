"""What an export would take: an estimate, and called one."""

from __future__ import annotations

from dataclasses import dataclass

from scene.export import Manifest
from scene.settings import SceneSettings


@dataclass(frozen=True, slots=True)
class Cost:
    """Model calls and tokens."""

    calls: float
    prompt_tokens: float
    completion_tokens: float

    def plus(self, other: Cost, times: float) -> Cost:
        """This and so many times the other."""
        return Cost(
            self.calls + times * other.calls,
            self.prompt_tokens + times * other.prompt_tokens,
            self.completion_tokens + times * other.completion_tokens,
        )


# Round figures of the default model and settings. The tokens: `python -m benchmarks tokens --json`.
SCENE = Cost(55, 34_600, 960)
"""A scene in an export: `calls`, and `prompt` and `generated` of `export`."""

ACTION = Cost(4.7, 3_400, 47)
"""What an action has of that. Of `by_call`: `routing`, `consequence`, `effect`, `role_action`, `role_again`,
divided by half the calls of `routing`, which is asked twice about each."""

REPLAY = Cost(7, 4_100, 110)
"""The opening of the same scene on another answer: `stance`, `plan`, and three calls of `asked`; the actions
come on top."""

SECONDS = 60
"""A scene of many on two CPU cores: `monopolylogue validate --out DIR --limit 24`."""


def estimate(scenes: int, settings: SceneSettings, manifest: Manifest | None, *, verify: bool = False) -> str:
    """A sentence on what so many scenes would take, by the manifest where one measured them."""
    if manifest is not None and manifest.counts.done:
        totals, done = manifest.totals, manifest.counts.done
        one = Cost(totals.calls / done, totals.prompt_tokens / done, totals.completion_tokens / done)
        hours = totals.hours / done * scenes
        basis = f"from the {done:,} scenes that are done"
        pace = f"{_hours(hours)} at the pace so far"
    else:
        one = expected(settings, verify=verify)
        seconds = SECONDS * one.calls / SCENE.calls
        basis = "from scenes of the default model"
        pace = (
            f"{_hours(seconds * scenes / 3600)} with that model on two CPU cores "
            "(after a first run with --limit 5, --dry-run knows better)"
        )
    total = Cost(0, 0, 0).plus(one, scenes)
    return (
        f"Estimated {basis}: {_rounded(total.calls)} calls, {_rounded(total.prompt_tokens)} prompt tokens, "
        f"{_rounded(total.completion_tokens)} generated tokens, {pace}."
    )


def expected(settings: SceneSettings, *, verify: bool = False) -> Cost:
    """What a scene takes with the default model, on average; at most, where it is played again."""
    actions = _actions(settings)
    one = SCENE.plus(ACTION, actions - _actions(SceneSettings()))
    return one.plus(REPLAY, 1).plus(ACTION, actions) if verify else one


def _actions(settings: SceneSettings) -> float:
    return min(settings.max_interactions, settings.steps * (1 + settings.roles / 2))


def _rounded(number: float) -> str:
    """Two digits that count; the rest is not known."""
    return f"{float(f'{number:.2g}'):,.0f}"


def _hours(hours: float) -> str:
    return f"{_rounded(hours)} hours" if hours >= 2 else f"{_rounded(hours * 60)} minutes"
