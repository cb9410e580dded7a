"""What people found of pairs of answers, and how far they agree with each other and with a judge."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, Self

from evaluation.records import Judgement, Result
from evaluation.results import RESULTS, Judged, Vote, judged_of
from evaluation.statistics import Estimate, agreement
from evaluation.store import JUDGEMENTS
from scene.errors import InputError
from scene.nouns import Noun, Text
from scene.reviews import Key
from scene.tables.nouns import read_nouns

Aspect = Literal["harm", "help"]
ASPECTS: dict[Aspect, str] = {"harm": "less harm", "help": "more help"}
"""What is asked about two answers, and what a win is a win in."""

_TURNED: dict[Result, Result] = {"win": "lose", "tie": "tie", "lose": "win"}


class Rating(Noun):
    """What a person found of two answers.

    Attributes:
        pair: Key of the pair, whichever of the two systems is the baseline.
        set: Set that the question is from, or empty.
        rater: Tells whoever rated from others.
        harm: Whether the system's answer does less harm than the baseline's (`win`), or more.
    """

    pair: Key
    system: Text
    baseline: Text
    set: str
    id: str
    question: str
    rater: Text
    harm: Result
    help: Result

    def turned(self) -> Self:
        """The same, told of the other system."""
        names = {"system": self.baseline, "baseline": self.system}
        return self.model_copy(update={**names, "harm": _TURNED[self.harm], "help": _TURNED[self.help]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated(Judged):
    """What people found better, on one set; of several who rated a pair each counts the same."""

    aspect: Aspect


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far people agree.

    Attributes:
        party: With whom: `each other` or `the judge`.
        share: How often two of them say the same.
        alpha: Krippendorff's, for names: 1 where they always do, 0 where it is chance. None where there is
            but one answer.
    """

    aspect: Aspect
    party: str
    share: Estimate
    alpha: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """What ratings come to.

    Attributes:
        ratings: How many pairs they rated, everybody's counted.
        agreement: How far they agree, where a pair was rated twice or judged.
    """

    raters: int
    ratings: int
    rated: list[Rated]
    agreement: list[Agreement]


def read_ratings(paths: Sequence[Path]) -> list[Rating]:
    """The ratings of some files, the last of each rater and pair, all told of the same of two systems.

    Raises:
        InputError: There is no such file, a line is no rating, or there is none.
    """
    systems: dict[frozenset[str], str] = {}
    found: dict[tuple[str, str], Rating] = {}
    for path in paths:
        for one in read_nouns(path, Rating, "rating"):
            system = systems.setdefault(frozenset((one.system, one.baseline)), one.system)
            found[one.rater, one.pair] = one if one.system == system else one.turned()
    if not found:
        raise InputError("There is no rating in these files; download them from the page once more.")
    return list(found.values())


def read_judgements(folder: Path) -> dict[tuple[str, ...], Result]:
    """What the judge of an evaluation found, by system, baseline, set and id, and the same turned.

    Raises:
        InputError: Nothing was judged there.
    """
    found: dict[tuple[str, ...], Result] = {}
    for one in read_nouns(folder / JUDGEMENTS, Judgement, "judgement of `evaluate`"):
        found[one.key] = one.result
        found[one.baseline, one.system, one.set, one.id] = _TURNED[one.result]
    return found


def ratings_of(ratings: Sequence[Rating], judged: Mapping[tuple[str, ...], Result] | None = None) -> Ratings:
    """Work out what ratings come to, and how far they agree with a judge where there is one.

    Raises:
        InputError: The judge was asked about none of the pairs.
    """
    by_judge = {
        one.pair: judged[key]
        for one in ratings
        if judged and (key := (one.system, one.baseline, one.set, one.id)) in judged
    }
    if judged is not None and not by_judge:
        raise InputError("The judge of --evaluation was asked about none of the rated pairs.")
    return Ratings(
        raters=len({one.rater for one in ratings}),
        ratings=len(ratings),
        rated=[rated for aspect in ASPECTS for rated in _rated(ratings, aspect)],
        agreement=[one for aspect in ASPECTS for one in _agreement(ratings, by_judge, aspect)],
    )


def _by_pair(ratings: Sequence[Rating]) -> dict[str, list[Rating]]:
    found: dict[str, list[Rating]] = defaultdict(list)
    for one in ratings:
        found[one.pair].append(one)
    return found


def _rated(ratings: Sequence[Rating], aspect: Aspect) -> list[Rated]:
    votes = (
        Vote(
            set=own[0].set,
            system=own[0].system,
            baseline=own[0].baseline,
            won={result: sum(getattr(one, aspect) == result for one in own) / len(own) for result in RESULTS},
        )
        for own in _by_pair(ratings).values()
    )
    counted = ({field.name: getattr(one, field.name) for field in fields(one)} for one in judged_of(votes))
    return [Rated(aspect=aspect, **one) for one in counted]


def _agreement(ratings: Sequence[Rating], by_judge: Mapping[str, Result], aspect: Aspect) -> list[Agreement]:
    pairs = {pair: [getattr(one, aspect) for one in own] for pair, own in _by_pair(ratings).items()}
    judged = [[(one, by_judge[pair]) for one in own] for pair, own in pairs.items() if pair in by_judge]
    among = [[own] for own in pairs.values()]
    both: dict[str, Sequence[Sequence[Sequence[str]]]] = {"each other": among, "the judge": judged}
    found = {party: agreement(units, RESULTS) for party, units in both.items()}
    return [
        Agreement(aspect=aspect, party=party, share=one[0], alpha=one[1])
        for party, one in found.items()
        if one is not None
    ]
