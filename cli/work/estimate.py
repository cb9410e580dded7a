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


# Measured on scenes of the default model: the first 47 of `make proof`.
SCENE = Cost(14, 8_700, 700)
"""The first answer, the opening, the summary and the revision."""

ROLE = Cost(1, 530, 31)
"""Somebody in the cast."""

REPLAY = Cost(3, 1_400, 130)
"""The opening of the same scene on another answer; the actions come on top."""

INTERACTION = Cost(2.7, 2_530, 112)
"""An action: playing it, ruling on it, and what follows from it."""

PROMPT_RATE, COMPLETION_RATE = 190, 70
"""Tokens a second that the default model reads and writes on two CPU cores, without a prefix cache."""


def estimate(scenes: int, settings: SceneSettings, manifest: Manifest | None, *, verify: bool = False) -> str:
    """A sentence on what so many scenes would take.

    Args:
        scenes: How many are to be played.
        settings: How.
        manifest: What was measured in the same folder, if anything was.
        verify: Whether each is played again on its final answer.
    """
    if manifest is not None and manifest.counts.done:
        totals, done = manifest.totals, manifest.counts.done
        one = Cost(totals.calls / done, totals.prompt_tokens / done, totals.completion_tokens / done)
        hours = totals.hours / done * scenes
        basis = f"from the {done:,} scenes that are done"
        pace = f"{_hours(hours)} at the pace so far"
    else:
        one = expected(settings, verify=verify)
        seconds = one.prompt_tokens / PROMPT_RATE + one.completion_tokens / COMPLETION_RATE
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
    interactions = min(settings.max_interactions, settings.steps * (1 + settings.roles / 2))
    one = SCENE.plus(ROLE, settings.roles).plus(INTERACTION, interactions)
    return one.plus(REPLAY, 1).plus(INTERACTION, interactions) if verify else one


def _rounded(number: float) -> str:
    """Two digits that count; the rest is not known."""
    return f"{float(f'{number:.2g}'):,.0f}"


def _hours(hours: float) -> str:
    return f"{_rounded(hours)} hours" if hours >= 2 else f"{_rounded(hours * 60)} minutes"
