"""Means, shares and areas under curves with 95% bootstrap intervals over questions."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

RESAMPLES = 4000
LEVEL = 0.95

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure over questions and its 95% interval.

    Attributes:
        value: The figure.
        low: Lower end of the interval.
        high: Upper end.
        n: Number of questions.
    """

    value: float
    low: float
    high: float
    n: int


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of some values, with a percentile bootstrap interval.

    The same values give the same interval. Values that are all alike give one of no width, which does not
    mean that more questions could not differ.

    Raises:
        ValueError: There is no value.
    """
    if not values:
        raise ValueError("an estimate needs at least one value")
    data = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(0).integers(0, len(data), (RESAMPLES, len(data)))
    low, high = np.quantile(data[drawn].mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(data.mean()), float(low), float(high), len(data))


def relative_change(ours: Mapping[Key, float], theirs: Mapping[Key, float]) -> Estimate | None:
    """How much our mean is above theirs, as a share of the size of theirs, over the questions that both have.

    Every resample draws questions and takes both means anew. A less negative log-likelihood is a change up.

    Args:
        ours: Values by question.
        theirs: The same of the system compared with.

    Returns:
        None where no question is answered by both, or their mean is 0 in a resample.
    """
    both = [(value, theirs[key]) for key, value in ours.items() if key in theirs]
    if not both:
        return None
    data = np.asarray(both, dtype=float)
    drawn = np.random.default_rng(0).integers(0, len(data), (RESAMPLES, len(data)))
    means = np.vstack([data.mean(axis=0), data[drawn].mean(axis=1)])
    if not means[:, 1].all():
        return None
    changes = (means[:, 0] - means[:, 1]) / np.abs(means[:, 1])
    low, high = np.quantile(changes[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(changes[0]), float(low), float(high), len(data))


def difference(ours: Mapping[Key, float], theirs: Mapping[Key, float]) -> Estimate | None:
    """The mean of our value minus theirs over the questions that both have; None where there is none.

    Args:
        ours: Values by question.
        theirs: The same of the system compared with.
    """
    both = [value - theirs[key] for key, value in ours.items() if key in theirs]
    return estimate(both) if both else None


def share(parts: Sequence[tuple[float, float]]) -> Estimate | None:
    """What part of a whole some questions make together; None where there is no whole.

    Args:
        parts: The part and the whole of each question, such as its refused actions and all its actions.
    """
    data = np.asarray([pair for pair in parts if pair[1]], dtype=float)
    if not len(data):
        return None
    drawn = np.random.default_rng(0).integers(0, len(data), (RESAMPLES, len(data)))
    part, whole = data[drawn].sum(axis=1).T
    low, high = np.quantile(part / whole, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(data[:, 0].sum() / data[:, 1].sum()), float(low), float(high), len(data))


def auroc(above: Sequence[Sequence[float]], below: Sequence[Sequence[float]]) -> Estimate | None:
    """How often a value of one kind of question is above one of the other kind; a tie is half of that.

    That is the area under the ROC curve; of a yes and no it is the balanced accuracy. Every pair of questions
    counts the same, however often either was asked. Every resample draws as many of each kind.

    Args:
        above: The values of every question that should have high ones.
        below: Of every question that should have low ones.

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
    random = np.random.default_rng(0)
    weights = [random.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n for n in wins.shape]
    low, high = np.quantile(
        np.einsum("ri,ij,rj->r", weights[0], wins, weights[1], optimize=True),
        [(1 - LEVEL) / 2, (1 + LEVEL) / 2],
    )
    return Estimate(float(wins.mean()), float(low), float(high), sum(wins.shape))


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
    drawn = np.random.default_rng(0).multinomial(equal.n, np.full(equal.n, 1 / equal.n), RESAMPLES)
    weights = np.vstack([np.ones(equal.n), drawn])
    sums = (weights @ counts.reshape(equal.n, -1)).reshape(-1, len(labels), len(labels))
    given, total = sums.sum(axis=2), sums.sum(axis=(1, 2))
    differ = total - np.trace(sums, axis1=1, axis2=2)
    by_chance = (total**2 - (given**2).sum(axis=1)) / (total - 1)
    if not by_chance[0]:
        return equal, None
    alphas = 1 - differ / np.where(by_chance > 0, by_chance, np.nan)
    low, high = np.nanquantile(alphas[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return equal, Estimate(float(alphas[0]), float(low), float(high), equal.n)
