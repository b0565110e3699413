"""Paired comparisons of searches: differences with intervals, and how likely they are by chance among so many."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.assessment.student import student_95

NUM_RESAMPLES = 10_000
NUM_SIGN_CHANGES = 100_000


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference over seeds, with its 95 % interval and its two-sided p.

    Attributes:
        mean: of the differences.
        low: lower end of the interval.
        high: its upper end.
        p: how likely a mean as far from 0 is by chance; of one comparison alone.
    """

    mean: float
    low: float
    high: float
    p: float


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of (S,) values, low and high, from bootstrap samples."""
    drawn = np.random.default_rng(0).choice(values, (NUM_RESAMPLES, len(values)))
    low, high = np.quantile(drawn.mean(1), (0.025, 0.975))
    return float(low), float(high)


def half_interval(values: NDArray[np.float64]) -> float:
    """Return half of the 95 % interval of the mean of (S,) values."""
    low, high = mean_interval(values)
    return (high - low) / 2


def mean_of_few(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of a few values, and half of its 95 % interval by Student's t; infinite for a single one."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, math.inf
    return mean, student_95(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))


def difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Difference:
    """Compare (S,) results with others of the same seeds, by random changes of sign of their differences."""
    own = ours - theirs
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (NUM_SIGN_CHANGES, len(own)))

    # Means that are equal but for rounding count, and so does the observed one itself: p is never 0.
    as_far = np.abs(signs @ own) >= abs(own.sum()) - 1e-12
    p = float((1 + as_far.sum()) / (1 + NUM_SIGN_CHANGES))
    return Difference(float(own.mean()), *mean_interval(own), p)


def holm(ps: Sequence[float]) -> list[float]:
    """Return the p of each of several comparisons, corrected for how many there are.

    That one or more of those below 0.05 are by chance has then a probability of 5 % at most, however they depend on
    each other.

    Source: Holm, A simple sequentially rejective multiple test procedure (Scandinavian Journal of Statistics 6, 1979).
    """
    corrected = [0.0] * len(ps)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        # None is smaller than that of a comparison with a smaller p.
        largest = max(largest, min(1.0, ps[i] * (len(ps) - rank)))
        corrected[i] = largest
    return corrected
