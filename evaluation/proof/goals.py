"""What tuning aims at, and whether it got there."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel

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
    low: float | None = None

    def keeps(self, value: float) -> bool:
        """Whether a value is within the bounds."""
        return (
            (self.most is None or value <= self.most)
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a goal; see `goals.yaml`.

    Attributes:
        certain: Whether its whole interval says the same, and has a width; None where there is no interval.
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
    main: bool = False


class _Measure(BaseModel):
    set: str
    metric: str


class _Goals(BaseModel):
    main: _Measure
    itself: list[Goal]
    another: list[Goal]


@cache
def _goals() -> _Goals:
    text = Path(__file__).with_name("goals.yaml").read_text(encoding="utf-8")
    return _Goals.model_validate(yaml.safe_load(text))


def goals(which: Which) -> list[Goal]:
    """The goals of a kind of tuning, in their order."""
    return _goals().itself if which == "itself" else _goals().another


def main_measure() -> tuple[str, str]:
    """Set and metric that were named beforehand."""
    return _goals().main.set, _goals().main.metric


def outcomes(which: Which, results: Results, system: str) -> list[Outcome]:
    """What became of the goals that something was measured for."""
    found = []
    for goal in goals(which):
        one = _measured(goal, results, system)
        if one is None:
            continue
        met = goal.keeps(one.value) and (goal.low is None or one.low > goal.low)
        whole = one.low < one.high and goal.keeps(one.low) == goal.keeps(one.high) == goal.keeps(one.value)
        found.append(
            Outcome(
                aim=goal.aim,
                of=goal.of,
                set=goal.set,
                metric=goal.metric,
                unit=METRICS[goal.metric].unit if goal.of in ("figure", "change") else "%",
                system=system,
                estimate=one,
                met=met,
                certain=None if goal.of == "pace" else whole,
                main=(goal.set, goal.metric) == main_measure(),
            )
        )
    return found


def _measured(goal: Goal, results: Results, system: str) -> Estimate | None:
    if goal.of == "preference":
        pair = (goal.set, system, goal.against)
        return next((one.net for one in results.judged if (one.set, one.system, one.baseline) == pair), None)
    if goal.of == "pace":
        return _pace(results, system)
    if goal.of == "change":
        return results.apart(goal.set, goal.metric, system, goal.against)
    figures = results.figures if goal.of == "figure" else results.relative_changes
    return results.find(figures, goal.set, goal.metric, system)


def _pace(results: Results, system: str) -> Estimate | None:
    """How much longer a token took than the base's, as a share of that, without an interval."""
    seconds = {one.system: one.seconds_per_token for one in results.pace}
    ours, base = seconds.get(system), seconds.get(results.systems[0]["name"])
    if not ours or not base:
        return None
    change = ours / base - 1
    return Estimate(change, change, change, 1)
