"""Agreement of predictions with what was measured, as figures with 95 % intervals."""

import math
from dataclasses import dataclass

import numpy as np

from proxy_tasks.surrogate.forest import Floats

NUM_RESAMPLES = 2000
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Quality:
    """A figure and its interval, low to high."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return all three, as `0.31 (0.20 to 0.41)`; words where no value differs from another."""
        if math.isnan(self.value):
            return "none, as there is nothing to tell apart"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def r_squared(true: Floats, predicted: Floats) -> Quality:
    """Return the share of the variance of (N,) values that their predictions explain.

    It is 0 for predictions that are always the mean, and below 0 for worse ones.
    """
    squares, errors = true**2, (true - predicted) ** 2

    def of(counts: Floats) -> Floats:
        """Return (...) figures, each value being there (..., N) times."""
        variance = counts @ squares - (counts @ true) ** 2 / len(true)
        return 1 - _divided(counts @ errors, variance)

    return _with_interval(of(np.ones(len(true))), of(_resamples(len(true))))


def kendall_tau_b(true: Floats, predicted: Floats) -> Quality:
    """Return Kendall's tau-b of (N,) values and their predictions: pairs in equal order less pairs in opposite order.

    Source: Kendall, The treatment of ties in ranking problems (Biometrika 33, 1945).
    """
    orders = [np.sign(values[:, None] - values) for values in (true, predicted)]  # (N, N) each
    agreement = orders[0] * orders[1]

    def of(counts: Floats) -> Floats:
        # A pair occurs as often as the product of both counts says: no resample need be written out.
        agreeing, *ordered = (((counts @ pairs) * counts).sum(-1) for pairs in (agreement, *map(np.abs, orders)))
        return _divided(agreeing, np.sqrt(ordered[0] * ordered[1]))

    return _with_interval(of(np.ones(len(true))), of(_resamples(len(true))))


def _resamples(number: int) -> Floats:
    """Return (R, N) how often each of N architectures occurs in resamples of N, drawn with repetition."""
    return np.random.default_rng(0).multinomial(number, [1 / number] * number, NUM_RESAMPLES).astype(np.float64)


def _divided(number: Floats, divisor: Floats) -> Floats:
    """Return quotients; NaN where values do not differ, so that there is nothing to explain or to order."""
    quotient: Floats = np.where(divisor > 0, number / np.where(divisor > 0, divisor, 1.0), np.nan)
    return quotient


def _with_interval(value: Floats, resampled: Floats) -> Quality:
    # A resample may hold one architecture alone.
    known = resampled[np.isfinite(resampled)]
    if not known.size:
        return Quality(float(value), math.nan, math.nan)
    low, high = np.percentile(known, _PERCENTILES)
    return Quality(float(value), float(low), float(high))
