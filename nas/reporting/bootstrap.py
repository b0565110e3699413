"""95 % intervals by bootstrap: rows of a table are drawn again and again, with repetition."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

NUM_RESAMPLES = 2000
PERCENTILES = (2.5, 97.5)


def mean_interval(values: Floats) -> tuple[Floats, Floats]:
    """Return (P,) low and high ends for the mean over the R rows of (R, P) values."""
    return _interval(_resampled_sums(values) / len(values))


def share_interval(counts: Floats) -> tuple[Floats, Floats]:
    """Return (K,) low and high ends for each option's share in the total of (N, K) counts; no row may be all 0."""
    totals = _resampled_sums(counts)  # (S, K)
    return _interval(totals / totals.sum(axis=1, keepdims=True))


def _resampled_sums(table: Floats) -> Floats:
    """Return (S, K) sums over the rows of a (N, K) table, once for each of S draws of N rows."""
    num_rows = len(table)
    num_drawn = np.random.default_rng(0).multinomial(num_rows, np.full(num_rows, 1 / num_rows), size=NUM_RESAMPLES)
    sums: Floats = num_drawn @ table
    return sums


def _interval(resampled: Floats) -> tuple[Floats, Floats]:
    low, high = np.percentile(resampled, PERCENTILES, axis=0)
    return low, high
