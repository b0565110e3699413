"""Intervals by bootstrap, against those that the normal distribution gives for many values."""

import numpy as np
import pytest

from nas.reporting.bootstrap import mean_interval, share_interval

NUM_ROWS = 400
WIDTH_95 = 2 * 1.959964
"""Width of the interval that holds 95 % of a normal distribution, in standard deviations."""
TOLERANCE = 0.06
"""Relative error of a width: 2,000 resamples find either end to 2 % or so; a 90 % interval is 16 % narrower."""


def test_intervals_of_means_are_those_that_hold_95_percent() -> None:
    values = np.random.default_rng(1).normal([0.2, 5.0], [0.1, 2.0], size=(NUM_ROWS, 2))
    low, high = mean_interval(values)
    deviations = values.std(axis=0) / np.sqrt(NUM_ROWS)
    assert high - low == pytest.approx(WIDTH_95 * deviations, rel=TOLERANCE)
    assert (low + high) / 2 == pytest.approx(values.mean(axis=0), abs=0.1 * deviations.max())


def test_intervals_of_shares_are_those_that_hold_95_percent() -> None:
    # One choice a row: a share is that of a binomial distribution.
    counts = np.zeros((NUM_ROWS, 2))
    counts[:120, 0], counts[120:, 1] = 1, 1
    low, high = share_interval(counts)
    deviation = np.sqrt(0.3 * 0.7 / NUM_ROWS)
    assert high - low == pytest.approx(WIDTH_95 * deviation, rel=TOLERANCE)
    assert (low + high) / 2 == pytest.approx([0.3, 0.7], abs=0.1 * deviation)
