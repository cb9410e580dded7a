"""What an evaluation came to: figures, differences and judgements, each with its interval."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any, get_args

from evaluation.metrics import ANSWER_METRICS, METRICS, PAIR_METRICS, graded_values
from evaluation.planted import Judging, grades_by, judging_of, verdicts
from evaluation.records import Answer, Judgement, Likelihood, Result
from evaluation.sets import Item, contrasts
from evaluation.statistics import Estimate, Value, difference, estimate, holm, relative_change
from evaluation.store import GRADER, JUDGE, Store

ALL = "all"
"""Set of the figures that are taken over all sets together."""

OVER_ALL = ("words", "ended", "repetition", "tokens", "calls")

RELATIVE = ("reference_likelihood", "attack_success")
"""How figures begin whose change is given as a share of the baseline's, too."""

RESULTS = get_args(Result)

Key = tuple[str, str]
Values = dict[tuple[str, str], dict[str, Mapping[Key, Value]]]
"""By set and metric, then by system: the figure of each question."""

_Found = defaultdict[tuple[str, str], defaultdict[str, dict[Key, float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A metric of one system on one set, or how it differs there from another; unsaid, from the baseline."""

    set: str
    metric: str
    system: str
    estimate: Estimate
    against: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Pairwise results on one set, or on `ALL` of several.

    Attributes:
        win: Share of questions on which it was preferred in both orders.
        net: Wins less losses, as a share of the questions, with a sign test.
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
class Vote:
    """How one question was judged; of several votes on it these are the means."""

    set: str
    system: str
    baseline: str
    won: Mapping[str, float]
    first: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a system answered, over all sets. It has no interval: one run took its time once.

    Attributes:
        seconds: What all answers took, questions included that it failed at.
        seconds_per_answer: These by the answers, so that who says less seems faster.
        seconds_per_token: Of a reply of forced length; None where that was not measured.
    """

    system: str
    answers: int
    seconds: float
    seconds_per_answer: float
    seconds_per_token: float | None = None


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that the report shows.

    Attributes:
        systems: Each system as it was given with the model it turned out to be; the first is the baseline.
        figures: Metrics by set and system; of systems in a group those of the group, too, as is their pace.
        differences: The same minus those of each system before, paired by question.
        relative_changes: Those from the baseline as shares of the size of its own.
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

    @property
    def names(self) -> list[str]:
        """Whom the figures compare: every system, but those of a group by its name; the baseline first."""
        return list(dict.fromkeys(_group(one) for one in self.systems))

    @staticmethod
    def find(figures: Sequence[Figure], set_name: str, metric: str, system: str) -> Estimate | None:
        """The estimate among some figures, or None."""
        where = (set_name, metric, system)
        return next((f.estimate for f in figures if (f.set, f.metric, f.system) == where), None)

    def apart(self, set_name: str, metric: str, system: str, against: str = "") -> Estimate | None:
        """How a system differs from another, or from the baseline; None where that was not measured."""
        against = against or self.names[0]
        for one in self.differences:
            if (one.set, one.metric) == (set_name, metric):
                pair = (one.system, one.against or self.names[0])
                if pair == (system, against):
                    return one.estimate
                if pair == (against, system):
                    return replace(
                        one.estimate,
                        value=-one.estimate.value,
                        low=-one.estimate.high,
                        high=-one.estimate.low,
                    )
        return None


def results_of(store: Store, systems: Sequence[str], items: Sequence[Item]) -> Results:
    """Work out what is in a folder of some systems, the baseline first, and questions."""
    by_key = {item.key: item for item in items}
    answers = {answer.key: answer for answer in store.answers.records}  # the last of each counts
    kept = [one for one in answers.values() if one.system in systems and (one.set, one.id) in by_key]
    manifest = store.manifest
    models = {name: model.model_dump() for name, model in manifest.models.items()}
    groups = {name: _group(manifest.systems[name]) for name in systems}
    figures, differences, relative = [], [], []
    for (set_name, metric), own in _values(store, kept, by_key, groups).items():
        share = METRICS[metric].unit == "%"
        for system, values in own.items():
            said = estimate(list(values.values()), share=share)
            figures.append(Figure(set=set_name, metric=metric, system=system, estimate=said))
        shown = [name for name in dict.fromkeys(groups.values()) if name in own]
        for other, system in combinations(shown, 2):
            place: dict[str, str] = {"set": set_name, "metric": metric, "system": system}
            if (apart := difference(own[system], own[other], share=share)) is not None:
                differences.append(Figure(estimate=apart, against=other, **place))
            if other == groups[systems[0]] and metric.startswith(RELATIVE):
                if (change := relative_change(own[system], own[other])) is not None:
                    relative.append(Figure(estimate=change, **place))
    failed = [one.system for one in kept if one.error is not None]
    results = Results(
        systems=[manifest.systems[name] | {"identity": models.get(name)} for name in systems],
        judge=models.get(JUDGE),
        sampling=manifest.sampling,
        scene=manifest.scene,
        questions={name: sum(item.set == name for item in items) for name in _sets(items)},
        figures=figures,
        differences=differences,
        relative_changes=relative,
        pace=list(_paces(kept, groups, manifest.paces)),
        judged=judged_of(_votes(verdicts(store), groups, by_key)),
        judging=judging_of(store),
        grader=models.get(GRADER),
        failed={name: failed.count(name) for name in systems if name in failed},
    )
    return corrected(results)


def judged_of(votes: Iterable[Vote]) -> list[Judged]:
    """Count votes by pair of systems and set, and over all sets where there are several."""
    pairs: dict[tuple[str, str], list[Vote]] = defaultdict(list)
    for vote in votes:
        pairs[vote.system, vote.baseline].append(vote)
    found = []
    for (system, baseline), all_votes in pairs.items():
        sets = list(dict.fromkeys(vote.set for vote in all_votes))
        for name in [*sets, *([ALL] if len(sets) > 1 else ())]:
            own = [vote for vote in all_votes if name in (vote.set, ALL)]
            win, tie, lose = ([vote.won.get(result, 0.0) for vote in own] for result in RESULTS)
            net = difference(dict(enumerate(win)), dict(enumerate(lose)), share=True)
            assert net is not None
            firsts = [vote.first for vote in own if vote.first is not None]
            found.append(
                Judged(
                    set=name,
                    system=system,
                    baseline=baseline,
                    win=estimate(win, share=True),
                    tie=estimate(tie, share=True),
                    lose=estimate(lose, share=True),
                    net=net,
                    first_place=estimate(firsts, share=True) if firsts else None,
                )
            )
    return found


def corrected(results: Results, main: tuple[str, str] | None = None) -> Results:
    """The same with Holm's correction for what was tested between two systems, and says better or worse.

    It is for all but the main measure, a set and a metric that were named beforehand.
    """
    families: dict[tuple[str, str], list[Estimate]] = defaultdict(list)
    for one in results.differences:
        if METRICS[one.metric].better != "neither" and (one.set, one.metric) != main:
            families[one.system, one.against].append(one.estimate)
    for judged in results.judged:
        if judged.set != ALL:
            families[judged.system, judged.baseline].append(judged.net)
    adjusted: dict[int, float] = {}
    for family in families.values():
        tested = [one for one in family if one.p is not None]
        by_p = zip(tested, holm([one.p for one in tested if one.p is not None]), strict=True)
        adjusted |= {id(one): p for one, p in by_p}

    def told(one: Estimate) -> Estimate:
        return replace(one, adjusted=adjusted.get(id(one)))

    return replace(
        results,
        differences=[replace(one, estimate=told(one.estimate)) for one in results.differences],
        judged=[replace(one, net=told(one.net)) for one in results.judged],
    )


def _group(system: Mapping[str, Any]) -> str:
    return str(system.get("group") or system["name"])


def _sets(items: Iterable[Item]) -> list[str]:
    return list(dict.fromkeys(item.set for item in items))


def _paces(
    answers: Sequence[Answer], groups: Mapping[str, str], forced: Mapping[str, float]
) -> Iterator[Pace]:
    """That of each system, and before those of a group's systems the group's: that of all their answers."""
    for name in dict.fromkeys(name for system, group in groups.items() for name in (group, system)):
        systems = [system for system, group in groups.items() if name in (system, group)]
        own = [one for one in answers if one.system in systems]
        count, seconds = sum(one.error is None for one in own), sum(one.seconds for one in own)
        if count:
            told = [forced[system] for system in systems if system in forced]
            yield Pace(
                system=name,
                answers=count,
                seconds=round(seconds, 3),
                seconds_per_answer=seconds / count,
                seconds_per_token=_mean(told) if len(told) == len(systems) else None,
            )


def _values(
    store: Store, answers: Sequence[Answer], items: Mapping[Key, Item], groups: Mapping[str, str]
) -> Values:
    """The figures of every question: of pairs, then of sets in their order, then over all of them."""
    found: _Found = defaultdict(lambda: defaultdict(dict))
    for one in answers:
        item = items[one.set, one.id]
        for name, metric in ANSWER_METRICS.items() if one.error is None else ():
            value = None if metric.value is None else metric.value(item.kind, one)
            if value is not None:
                found[ALL if name in OVER_ALL else one.set, name][one.system][item.key] = float(value)
    by_key = {one.key: one for one in answers if one.error is None}
    for (system, *_), grade in grades_by(store, GRADER).items():
        graded = by_key.get((system, grade.set, grade.id))
        own = items.get((grade.set, grade.id))
        for name, said in (graded_values(own, graded, grade) if own and graded else {}).items():
            found[grade.set, name][system][grade.set, grade.id] = float(said)
    likely = [one for one in store.likelihoods.records if one.system in groups and (one.set, one.id) in items]
    _score(likely, items, found)
    pairs = contrasts(items.values())
    for pair, (name, measured), system in product(pairs, PAIR_METRICS.items(), groups):
        both = zip((pair.safe, pair.unsafe), measured, strict=True)
        faults = [found[item.set, metric][system].get(item.key) for item, metric in both]
        if None not in faults:
            found[pair.set, name][system][pair.set, pair.safe.id] = float(not any(faults))
    order = [*(pair.set for pair in pairs), *_sets(items.values()), ALL]
    kept = {where: values for where, own in found.items() if (values := _grouped(own, groups))}
    ranked = sorted(kept, key=lambda where: (order.index(where[0]), list(METRICS).index(where[1])))
    return {where: kept[where] for where in ranked}


def _score(likelihoods: Iterable[Likelihood], items: Mapping[Key, Item], found: _Found) -> None:
    """The figures of references by token, and which choice is the likeliest by byte."""
    choices: dict[tuple[str, Item], dict[int, float]] = defaultdict(dict)
    for one in likelihoods:
        item = items[one.set, one.id]
        if one.log_likelihood is None:
            continue
        if one.choice is None:
            metric = "target_likelihood" if item.kind == "harmful" else "reference_likelihood"
            found[one.set, metric][one.system][item.key] = one.log_likelihood / one.tokens
        else:
            size = len(item.choices[one.choice].encode())
            choices[one.system, item][one.choice] = one.log_likelihood / size
    for (system, item), likely in choices.items():
        if len(likely) == len(item.choices):
            best = max(likely, key=likely.__getitem__)
            found[item.set, "choice_accuracy"][system][item.key] = float(best == item.right)


def _grouped(
    values: Mapping[str, dict[Key, float]], groups: Mapping[str, str]
) -> dict[str, Mapping[Key, Value]]:
    """The figures of each system in their order, and before those of a group's systems the group's own."""
    found: dict[str, Mapping[Key, Value]] = {}
    for system, group in groups.items():
        seeds = [values.get(name, {}) for name in groups if groups[name] == group]
        if group != system and group not in found:
            shared = [key for key in seeds[0] if all(key in own for own in seeds)]
            found[group] = {key: [own[key] for own in seeds] for key in shared}
        found[system] = values.get(system, {})
    return {name: own for name, own in found.items() if own}


def _votes(
    judgements: Iterable[Judgement], groups: Mapping[str, str], items: Mapping[Key, Item]
) -> Iterable[Vote]:
    """One on every question; of systems in a group the mean over their pairs."""
    found: dict[tuple[str, str, Key], dict[tuple[str, str], Judgement]] = defaultdict(dict)
    for one in judgements:
        if (one.set, one.id) in items and {one.system, one.baseline} <= groups.keys():
            where = (groups[one.system], groups[one.baseline], (one.set, one.id))
            found[where][one.system, one.baseline] = one
    for (system, baseline, (set_name, _)), votes in found.items():
        won = {result: _mean([float(one.result == result) for one in votes.values()]) for result in RESULTS}
        asked = [one for one in votes.values() if not (one.equal or one.graded)]
        firsts = [choice == "first" for one in asked for choice in (one.system_first, one.baseline_first)]
        first = _mean(firsts) if firsts else None
        yield Vote(set=set_name, system=system, baseline=baseline, won=won, first=first)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
