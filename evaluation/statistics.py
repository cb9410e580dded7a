"""Means, shares and areas under curves with 95% intervals, and tests of what differs.

A share of yes and no has Wilson's interval, a difference of two of the same questions Newcombe's. All else is
a percentile bootstrap over questions, and over seeds where a system was trained under several.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import comb, sqrt
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 4000
TAIL = 0.025
ROUNDING = 1e-12
Z = NormalDist().inv_cdf(1 - TAIL)

Numbers = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)
Value = float | Sequence[float]
"""A figure of a question; one by each seed, where what answered was trained under several."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure over questions and its 95% interval.

    Attributes:
        p: Of a difference: how likely one as large is where nothing differs; None where that was not tested.
        adjusted: The same after Holm's correction for all that was tested beside it.
    """

    value: float
    low: float
    high: float
    n: int
    p: float | None = None
    adjusted: float | None = None


def estimate(values: Sequence[Value], *, share: bool = False) -> Estimate:
    """The mean of some values; a share of yes and no has an interval with a width even where all agree.

    Raises:
        ValueError: There is no value.
    """
    if not values:
        raise ValueError("an estimate needs at least one value")
    data = _table(values)
    if share and _is_yes_or_no(data) and (data.shape[1] == 1 or data.mean() in (0, 1)):
        return Estimate(float(data.mean()), *wilson(data.mean(), len(data)), len(data))
    return _bootstrapped(data.mean(), _means(data), len(data))


def difference(
    ours: Mapping[Key, Value], theirs: Mapping[Key, Value], *, share: bool = False
) -> Estimate | None:
    """The mean of our value minus theirs over the questions that both have; None where there is none.

    Yes and no are compared by McNemar's exact test, other values by flipping the signs of their differences
    at random, and those of several seeds by how often a resample of questions and seeds turns the sign. That
    p is never below what the exact test could say of as many questions that differ.
    """
    both = [key for key in ours if key in theirs]
    if not both:
        return None
    one, other = (_table([values[key] for key in both]) for values in (ours, theirs))
    value = one.mean() - other.mean()
    if share and all(_is_yes_or_no(said) and not np.ptp(said, axis=1).any() for said in (one, other)):
        we, they = one[:, 0], other[:, 0]
        table = [int(((we == yes) & (they == no)).sum()) for yes, no in ((1, 1), (1, 0), (0, 1), (0, 0))]
        return paired(*table)
    if max(one.shape[1], other.shape[1]) > 1:
        drawn = _means(one) - _means(other, seeds=2)
        turned = (1 + 2 * min((drawn <= 0).sum(), (drawn >= 0).sum())) / (RESAMPLES + 1)
        differ = int((one.mean(axis=1) != other.mean(axis=1)).sum())
        return _bootstrapped(value, drawn, len(both), p=min(1.0, max(turned, 2.0 ** (1 - differ))))
    apart = one - other
    flipped = np.abs(_signs(len(both)) @ apart[:, 0]) / len(both) >= abs(value) - 1e-12
    return _bootstrapped(value, _means(apart), len(both), p=(1 + int(flipped.sum())) / (RESAMPLES + 1))


def paired(both: int, ours: int, theirs: int, neither: int) -> Estimate:
    """The difference between two shares of the same questions: Newcombe's interval, McNemar's exact test.

    Told are the numbers of questions to which both say yes, we alone, they alone, and neither.
    """
    n = both + ours + theirs + neither
    one, other = (both + ours) / n, (both + theirs) / n
    (low, high), (their_low, their_high) = wilson(one, n), wilson(other, n)
    tied = both * neither - ours * theirs
    sides = (both + ours) * (theirs + neither) * (both + theirs) * (ours + neither)
    phi = max(tied - n / 2, 0) / sqrt(sides) if tied > 0 and sides else tied / sqrt(sides) if sides else 0.0
    below, above, their_below, their_above = one - low, high - one, other - their_low, their_high - other
    down = sqrt(max(below**2 - 2 * phi * below * their_above + their_above**2, 0))
    up = sqrt(max(above**2 - 2 * phi * above * their_below + their_below**2, 0))
    fewer, all_turned = min(ours, theirs), ours + theirs
    p = min(1.0, 2 * sum(comb(all_turned, k) for k in range(fewer + 1)) / 2**all_turned)
    return Estimate(one - other, max(one - other - down, -1.0), min(one - other + up, 1.0), n, p)


def relative_change(ours: Mapping[Key, Value], theirs: Mapping[Key, Value]) -> Estimate | None:
    """How much our mean is above theirs, as a share of the size of theirs, over the questions that both have.

    Every resample takes both means anew. A less negative log-likelihood is a change up.

    Returns:
        None where no question is answered by both, or their mean is 0, or is so in many resamples.
    """
    both = [key for key in ours if key in theirs]
    if not both:
        return None
    one, other = (_table([values[key] for key in both]) for values in (ours, theirs))
    base = np.append(_means(other, seeds=2), other.mean())
    if not base[-1] or (base == 0).mean() > TAIL:
        return None
    base[base == 0] = np.nan
    changes = (np.append(_means(one), one.mean()) - base) / np.abs(base)
    return _bootstrapped(changes[-1], changes[:-1], len(both))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction: each p so that all together are wrong as seldom as one alone would be."""
    adjusted, reached = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        reached = max(reached, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = reached
    return adjusted


def share(parts: Sequence[tuple[float, float]]) -> Estimate | None:
    """What part of a whole some questions make together; None where there is no whole.

    Where it is nothing or all of it in every question, resamples all say so: then as many questions that each
    say yes or no give the interval, which has a width.
    """
    data = np.asarray([pair for pair in parts if pair[1]], dtype=float)
    if not len(data):
        return None
    part, whole = (_weights(len(data)) @ data).T
    found = _bootstrapped(data[:, 0].sum() / data[:, 1].sum(), part / whole, len(data))
    if found.value in (0, 1):
        low, high = wilson(found.value, found.n)
        return replace(found, low=low, high=high)
    return found


def auroc(above: Sequence[Sequence[float]], below: Sequence[Sequence[float]]) -> Estimate | None:
    """How often a value of one kind of question is above one of the other kind; a tie is half of that.

    That is the area under the ROC curve; of a yes and no it is the balanced accuracy. Every pair of questions
    counts the same, however often either was asked. Every resample draws as many of each kind.

    Returns:
        None where there are no questions of a kind.
    """
    if not above or not below:
        return None
    values = [np.concatenate(groups, dtype=float) for groups in (above, below)]
    wins = np.sign(np.subtract.outer(*values)) / 2 + 0.5
    for axis, groups in enumerate((above, below)):
        sizes = np.asarray([len(group) for group in groups])
        wins = np.add.reduceat(wins, np.cumsum(sizes) - sizes, axis)
        wins /= sizes[:, None] if axis == 0 else sizes
    return _bootstrapped(wins.mean(), _means(wins), sum(wins.shape))


def agreement(
    questions: Sequence[Sequence[Sequence[str]]], labels: Sequence[str]
) -> tuple[Estimate, Estimate | None] | None:
    """How often those who label a question say the same, and Krippendorff's alpha for nominal data.

    Args:
        questions: For each question, groups of labels that are compared with one another.
        labels: All there are.

    Returns:
        The share of equal labels, and alpha, which is None where only one label was ever given; None where
        no group has two.
    """
    counts = np.zeros((len(questions), len(labels), len(labels)))
    for number, groups in enumerate(questions):
        for group in groups:
            given = np.asarray([group.count(label) for label in labels], dtype=float)
            if len(group) > 1:
                counts[number] += (np.outer(given, given) - np.diag(given)) / (len(group) - 1)
    counts = counts[counts.sum(axis=(1, 2)) > 0]
    equal = share([(float(np.trace(one)), float(one.sum())) for one in counts])
    if equal is None:
        return None
    weights = np.vstack([np.ones(equal.n), equal.n * _weights(equal.n)])
    sums = (weights @ counts.reshape(equal.n, -1)).reshape(-1, len(labels), len(labels))
    given, total = sums.sum(axis=2), sums.sum(axis=(1, 2))
    differ = total - np.trace(sums, axis1=1, axis2=2)
    by_chance = (total**2 - (given**2).sum(axis=1)) / (total - 1)
    if not by_chance[0]:
        return equal, None
    alphas = 1 - differ / np.where(by_chance > 0, by_chance, np.nan)
    return equal, _bootstrapped(alphas[0], alphas[1:], equal.n)


def _table(values: Sequence[Value]) -> Numbers:
    """Questions in rows, seeds in columns."""
    return np.asarray(values, dtype=float).reshape(len(values), -1)


def _is_yes_or_no(data: Numbers) -> bool:
    return bool(((data == 0) | (data == 1)).all())


@cache
def _weights(n: int, stream: int = 0) -> Numbers:
    """What each of n counts in every resample; the same every time."""
    drawn = np.random.default_rng(stream).integers(0, n, (RESAMPLES, n)) + n * np.arange(RESAMPLES)[:, None]
    return np.bincount(drawn.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n) / n


@cache
def _signs(n: int) -> Numbers:
    return np.random.default_rng(0).choice([-1.0, 1.0], (RESAMPLES, n))


def _means(data: Numbers, seeds: int = 1) -> Numbers:
    """The mean in every resample of rows and columns; the columns of two tables are not drawn alike."""
    drawn = _weights(len(data)) @ data
    means: Numbers = (drawn * _weights(data.shape[1], seeds)).sum(axis=1)
    return means


def _bootstrapped(value: float, drawn: Numbers, n: int, p: float | None = None) -> Estimate:
    """Resamples of what is always the same differ by rounding alone: they have no width and are the value."""
    low, high = np.nanquantile(drawn, [TAIL, 1 - TAIL])
    if high - low < ROUNDING * max(1.0, abs(value)):
        low = high = value
    return Estimate(float(value), float(min(low, value)), float(max(high, value)), n, p)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's interval of a share, which is no point where all or none are."""
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return max(0.0, round(float(middle - half), 12)), min(1.0, round(float(middle + half), 12))
