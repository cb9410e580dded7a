"""What an evaluation came to: figures, differences and judgements, each with its interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evaluation.metrics import ANSWER_METRICS, METRICS, graded_values, likelihood_metric
from evaluation.planted import Judging, grades_by, judging_of, verdicts
from evaluation.records import Answer, Judgement
from evaluation.sets import Item
from evaluation.statistics import Estimate, difference, estimate, relative_change
from evaluation.store import GRADER, JUDGE, Store

ALL = "all"
"""Set of the figures that are taken over all sets together."""

OVER_ALL = ("words", "ended", "repetition", "tokens", "calls")

RELATIVE = ("reference_likelihood",)
"""Figures whose change is given as a share of the baseline's, too."""

SCORES = {"win": 1.0, "tie": 0.0, "lose": -1.0}

Key = tuple[str, str]
Values = dict[tuple[str, str, str], dict[Key, float]]
"""By set, metric and system: the figure of each question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A metric of one system on one set, or how it differs there from the baseline."""

    set: str
    metric: str
    system: str
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Pairwise results on one set.

    Attributes:
        set: The set, or `ALL` for all of several.
        system: Whose wins are counted.
        baseline: Whom it is compared with.
        win: Share of questions on which it was preferred in both orders.
        tie: Share on which the orders disagree, or the answers are equal.
        lose: Share on which the baseline was preferred in both orders.
        net: Wins less losses, as a share of the questions.
        first_place: Share of the judge's decisions for the answer shown first; half of them without a bias.
            None where no decision was asked for.
    """

    set: str
    system: str
    baseline: str
    win: Estimate
    tie: Estimate
    lose: Estimate
    net: Estimate
    first_place: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a system answered, over all sets. It has no interval: one run took its time once.

    Attributes:
        system: The system.
        answers: Answers it gave.
        seconds: What they took in all, questions included that it failed at.
        seconds_per_answer: The one over the other.
    """

    system: str
    answers: int
    seconds: float
    seconds_per_answer: float


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that the report shows.

    Attributes:
        systems: Each system as it was given with the model it turned out to be; the first is the baseline.
        judge: Model that judged, or None.
        sampling: Settings of every answer.
        scene: Settings of the scenes.
        questions: Number of questions by set.
        figures: Metrics by set and system.
        differences: The same minus the baseline's, paired by question.
        relative_changes: Those of `RELATIVE` as shares of the size of the baseline's.
        pace: How fast each system answered.
        judged: Pairwise results.
        failed: Questions without an answer, by system.
        judging: What the judge showed on planted pairs, and where verdicts are from.
        grader: Model that graded, or None.
    """

    systems: list[dict[str, Any]]
    judge: dict[str, Any] | None
    sampling: dict[str, int | float]
    scene: dict[str, int | float]
    questions: dict[str, int]
    figures: list[Figure]
    differences: list[Figure]
    relative_changes: list[Figure]
    pace: list[Pace]
    judged: list[Judged]
    failed: dict[str, int]
    judging: Judging | None = None
    grader: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)

    @staticmethod
    def find(figures: Sequence[Figure], set_name: str, metric: str, system: str) -> Estimate | None:
        """The estimate among some figures, or None."""
        where = (set_name, metric, system)
        return next((f.estimate for f in figures if (f.set, f.metric, f.system) == where), None)


def results_of(store: Store, systems: Sequence[str], items: Sequence[Item]) -> Results:
    """Work out what is in a folder.

    Args:
        store: The evaluation.
        systems: Names of the systems to report, the baseline first.
        items: The questions to report.
    """
    by_key = {item.key: item for item in items}
    answers = {answer.key: answer for answer in store.answers.records}  # the last of each counts
    kept = [one for one in answers.values() if one.system in systems and (one.set, one.id) in by_key]
    values = _values(store, kept, by_key, systems)
    figures, differences, relative = [], [], []
    for (set_name, metric, system), own in values.items():
        place = {"set": set_name, "metric": metric, "system": system}
        figures.append(Figure(estimate=estimate(list(own.values())), **place))
        if system != systems[0]:
            theirs = values.get((set_name, metric, systems[0]), {})
            if (apart := difference(own, theirs)) is not None:
                differences.append(Figure(estimate=apart, **place))
            if metric in RELATIVE and (change := relative_change(own, theirs)) is not None:
                relative.append(Figure(estimate=change, **place))
    manifest = store.manifest
    models = {name: model.model_dump() for name, model in manifest.models.items()}
    return Results(
        systems=[manifest.systems[name] | {"identity": models.get(name)} for name in systems],
        judge=models.get(JUDGE),
        sampling=manifest.sampling,
        scene=manifest.scene,
        questions={name: sum(item.set == name for item in items) for name in _sets(items)},
        figures=figures,
        differences=differences,
        relative_changes=relative,
        pace=_pace(kept, systems),
        judged=_judged(verdicts(store), systems, by_key),
        judging=judging_of(store),
        grader=models.get(GRADER),
        failed={
            name: sum(one.error is not None for one in kept if one.system == name)
            for name in systems
            if any(one.error is not None for one in kept if one.system == name)
        },
    )


def _sets(items: Sequence[Item]) -> list[str]:
    return list(dict.fromkeys(item.set for item in items))


def _pace(answers: Sequence[Answer], systems: Sequence[str]) -> list[Pace]:
    found = []
    for system in systems:
        own = [one for one in answers if one.system == system]
        count, seconds = sum(one.error is None for one in own), sum(one.seconds for one in own)
        if count:
            found.append(
                Pace(
                    system=system,
                    answers=count,
                    seconds=round(seconds, 3),
                    seconds_per_answer=seconds / count,
                )
            )
    return found


def _values(
    store: Store, answers: Sequence[Answer], items: Mapping[Key, Item], systems: Sequence[str]
) -> Values:
    """The figures of every question; those of sets in their order, then those over all of them."""
    found: Values = defaultdict(dict)
    by_key = {one.key: one for one in answers if one.error is None}
    for name, metric in ANSWER_METRICS.items():
        for key, item in items.items():
            for system in systems:
                answer = by_key.get((system, *key))
                if answer is None or metric.value is None:
                    continue
                value = metric.value(item, answer)
                if value is not None:
                    place = ALL if name in OVER_ALL else item.set
                    found[place, name, system][key] = float(value)
    for (system, *_), grade in grades_by(store, GRADER).items():
        graded = by_key.get((system, grade.set, grade.id))
        key = (grade.set, grade.id)
        for name, said in (graded_values(items[key], graded, grade) if graded else {}).items():
            found[grade.set, name, system][key] = float(said)
    for one in store.likelihoods.records:
        key = (one.set, one.id)
        if key in items and one.system in systems and one.log_likelihood is not None:
            name = likelihood_metric(items[key])
            found[one.set, name, one.system][key] = one.log_likelihood / one.tokens
    order = [*_sets(list(items.values())), ALL]
    ranked = sorted(
        found,
        key=lambda where: (order.index(where[0]), list(METRICS).index(where[1]), systems.index(where[2])),
    )
    return {where: found[where] for where in ranked}


def _judged(
    judgements: Sequence[Judgement], systems: Sequence[str], items: Mapping[Key, Item]
) -> list[Judged]:
    groups: dict[tuple[str, str, str], list[Judgement]] = defaultdict(list)
    for one in judgements:
        if (one.set, one.id) in items and {one.system, one.baseline} <= set(systems):
            groups[one.system, one.baseline, one.set].append(one)
    for system, baseline in dict.fromkeys((system, baseline) for system, baseline, _ in groups):
        parts = [group for pair, group in groups.items() if pair[:2] == (system, baseline)]
        if len(parts) > 1:
            groups[system, baseline, ALL] = [one for part in parts for one in part]
    return [
        Judged(
            set=set_name,
            system=system,
            baseline=baseline,
            win=_share(group, "win"),
            tie=_share(group, "tie"),
            lose=_share(group, "lose"),
            net=estimate([SCORES[one.result] for one in group]),
            first_place=_first_place(group),
        )
        for (system, baseline, set_name), group in groups.items()
    ]


def _share(group: Sequence[Judgement], result: str) -> Estimate:
    return estimate([float(one.result == result) for one in group])


def _first_place(group: Sequence[Judgement]) -> Estimate | None:
    asked = [
        ((one.system_first == "first") + (one.baseline_first == "first")) / 2
        for one in group
        if not (one.equal or one.graded)
    ]
    return estimate(asked) if asked else None
