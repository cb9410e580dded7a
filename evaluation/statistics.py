"""Means with 95% bootstrap intervals, of what one system did and of what two did differently."""

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
    """A mean over questions and its 95% interval.

    Attributes:
        value: The mean.
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
