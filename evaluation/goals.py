"""What tuning aims at, and whether it got there."""

from __future__ import annotations

from collections.abc import Callable
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

Preference = Callable[[str, str], Estimate | None]
"""How far a judge prefers the first system to the second: wins minus losses; None where it was not asked."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """An aim; see `goals.yaml`."""

    aim: str
    of: Literal["figure", "change", "relative", "preference"]
    set: str
    metric: str = ""
    against: str = ""
    most: float | None = None
    least: float | None = None
    above: float | None = None
    doubt: bool = False

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
        set: The questions.
        metric: Name of the metric; `preference` for a judge's.
        of: See `goals.yaml`.
        unit: Of the estimate.
        system: The tuned model.
        estimate: What was measured.
        met: Whether that is what was aimed at.
        certain: Whether its whole interval says the same.
    """

    aim: str
    set: str
    metric: str
    of: str
    unit: str
    system: str
    estimate: Estimate
    met: bool
    certain: bool


def goals(which: Which) -> list[Goal]:
    """The goals of a kind of tuning, in their order."""
    text = Path(__file__).with_name("goals.yaml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, list[Goal]]).validate_python(yaml.safe_load(text))[which]


def outcomes(which: Which, results: Results, system: str, preference: Preference) -> list[Outcome]:
    """What became of the goals that something was measured for.

    Args:
        which: Which goals.
        results: All figures of the tuned models.
        system: One of these.
        preference: What the judge says.
    """
    found = []
    for goal in goals(which):
        estimate = _measured(goal, results, system, preference)
        if estimate is None:
            continue
        ends = [goal.keeps(estimate.low), goal.keeps(estimate.high)]
        met = any(ends) if goal.doubt else goal.keeps(estimate.value)
        found.append(
            Outcome(
                aim=goal.aim,
                set=goal.set,
                metric=goal.metric or "preference",
                of=goal.of,
                unit=goal.unit,
                system=system,
                estimate=estimate,
                met=met,
                certain=all(end == met for end in ends),
            )
        )
    return found


def _measured(goal: Goal, results: Results, system: str, preference: Preference) -> Estimate | None:
    if goal.of == "preference":
        return None if goal.against == system else preference(system, goal.against)
    figures = results.figures if goal.of == "figure" else results.differences
    found = results.find(figures, goal.set, goal.metric, system)
    base = results.find(results.figures, goal.set, goal.metric, results.systems[0]["name"])
    if found is None or goal.of != "relative":
        return found
    if base is None or base.value == 0:
        return None
    size = abs(base.value)
    return Estimate(found.value / size, found.low / size, found.high / size, found.n)
