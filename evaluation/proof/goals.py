"""What tuning aims at, and whether it got there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import TypeAdapter

from evaluation.metrics import METRICS
from evaluation.results import Results
from evaluation.statistics import Estimate

Which = Literal["itself", "another"]
"""Whether a model was tuned on its own rehearsals, or on those of another one."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """An aim; see `goals.yaml`."""

    aim: str
    of: Literal["figure", "change", "relative", "preference", "pace"]
    set: str
    metric: str = ""
    against: str = ""
    most: float | None = None
    least: float | None = None
    above: float | None = None

    @property
    def unit(self) -> str:
        """Of what is measured."""
        return METRICS[self.metric].unit if self.of in ("figure", "change") else "%"

    def keeps(self, value: float) -> bool:
        """Whether a value is within the bounds."""
        return (
            (self.most is None or value <= self.most)
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a goal.

    Attributes:
        aim: The goal.
        of: See `goals.yaml`.
        set: The questions.
        metric: Name of the metric, or empty.
        unit: Of the estimate.
        system: The tuned model.
        estimate: What was measured.
        met: Whether that is what was aimed at.
        certain: Whether its whole interval says the same; None where there is no interval.
    """

    aim: str
    of: str
    set: str
    metric: str
    unit: str
    system: str
    estimate: Estimate
    met: bool
    certain: bool | None


def goals(which: Which) -> list[Goal]:
    """The goals of a kind of tuning, in their order."""
    text = Path(__file__).with_name("goals.yaml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, list[Goal]]).validate_python(yaml.safe_load(text))[which]


def outcomes(which: Which, results: Results, system: str) -> list[Outcome]:
    """What became of the goals that something was measured for.

    Args:
        which: Which goals.
        results: All figures of the tuned models.
        system: One of these.
    """
    found = []
    for goal in goals(which):
        estimate = _measured(goal, results, system)
        if estimate is None:
            continue
        met = goal.keeps(estimate.value)
        certain = goal.keeps(estimate.low) == goal.keeps(estimate.high) == met
        found.append(
            Outcome(
                aim=goal.aim,
                of=goal.of,
                set=goal.set,
                metric=goal.metric,
                unit=goal.unit,
                system=system,
                estimate=estimate,
                met=met,
                certain=None if goal.of == "pace" else certain,
            )
        )
    return found


def _measured(goal: Goal, results: Results, system: str) -> Estimate | None:
    if goal.of == "preference":
        pair = (goal.set, system, goal.against)
        return next((one.net for one in results.judged if (one.set, one.system, one.baseline) == pair), None)
    if goal.of == "pace":
        return _pace(results, system)
    figures = {
        "figure": results.figures,
        "change": results.differences,
        "relative": results.relative_changes,
    }
    return results.find(figures[goal.of], goal.set, goal.metric, system)


def _pace(results: Results, system: str) -> Estimate | None:
    """How many more seconds an answer took than the base's, as a share of those, without an interval."""
    seconds = {one.system: one for one in results.pace}
    base = seconds.get(results.systems[0]["name"])
    if base is None or system not in seconds or not base.seconds_per_answer:
        return None
    change = seconds[system].seconds_per_answer / base.seconds_per_answer - 1
    return Estimate(change, change, change, seconds[system].answers)
