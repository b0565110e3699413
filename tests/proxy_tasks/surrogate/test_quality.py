"""Figures over held-out predictions, against the project's own and SciPy's."""

import math

import numpy as np
import pytest
from scipy import stats

from nas.assessment import correlation
from nas.assessment.interval import estimate
from proxy_tasks.surrogate.quality import Quality, kendall_tau_b, r_squared


def test_tau_is_scipys_and_its_interval_that_of_a_bootstrap_that_writes_out_its_resamples() -> None:
    rng = np.random.default_rng(1)
    true = rng.integers(0, 30, 60) / 30
    predicted = true + rng.normal(0, 0.3, 60).round(1)
    found = kendall_tau_b(true, predicted)
    assert found.value == pytest.approx(stats.kendalltau(true, predicted).statistic)

    # Other random resamples, 2,000 each: the ends differ by about a fiftieth of the interval.
    peer = estimate(correlation.kendall_tau_b, true, predicted)
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high), abs=0.03)


def test_the_share_explained_is_one_less_the_share_of_the_squares_that_are_left() -> None:
    # By hand: mean 2, squares about it 2, squares left 0.5.
    found = r_squared(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.5, 2.5]))
    assert found.value == pytest.approx(1 - 0.5 / 2)
    assert r_squared(np.arange(20.0), np.full(20, 9.5)).value == pytest.approx(0)

    rng = np.random.default_rng(1)
    true, predicted = (own := rng.random(50)), own + rng.normal(0, 0.1, 50)

    def share(a: correlation.Floats, b: correlation.Floats) -> correlation.Floats:
        left = ((a - b) ** 2).sum(-1) / ((a - a.mean(-1, keepdims=True)) ** 2).sum(-1)
        explained: correlation.Floats = 1 - left
        return explained

    found, peer = r_squared(true, predicted), estimate(share, true, predicted)
    assert found.value == pytest.approx(peer.value)
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high), abs=0.02)


def test_without_differences_there_is_no_figure() -> None:
    for figure in (r_squared, kendall_tau_b):
        found = figure(np.ones(12), np.arange(12.0))
        assert all(math.isnan(value) for value in (found.value, found.low, found.high))
    assert str(Quality(0.312, 0.2, 0.405)) == "0.31 (0.20 to 0.41)"
