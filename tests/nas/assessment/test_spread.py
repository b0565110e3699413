"""The spread of rewards, and intervals that hold the truth as often as they say."""

import math

import numpy as np
import pytest

from nas.assessment.correlation import Floats, kendall_tau_b, spearman
from nas.assessment.interval import estimate, intraclass_estimate
from nas.assessment.spread import Spread, better_half, spread_of


def test_the_spread_is_that_of_an_analysis_of_variance_by_hand() -> None:
    # Means 2, 6, 10 vary by 16; each pair by 2, of which the means keep half.
    spread = spread_of(np.array([[1.0, 3.0], [5.0, 7.0], [9.0, 11.0]]))
    assert (spread.between, spread.within) == pytest.approx((math.sqrt(15), math.sqrt(2)))
    assert spread.intraclass == pytest.approx(15 / 17)
    # Two trainings of one architecture differ by sqrt(2) times their deviation.
    assert spread.smallest_difference == pytest.approx(1.96 * 2)


def test_means_that_differ_by_no_more_than_seeds_explain_have_no_spread() -> None:
    spread = spread_of(np.array([[1.0, 3.0], [3.0, 1.0], [2.0, 2.0]]))
    assert (spread.between, spread.intraclass) == (0.0, 0.0)
    assert math.isnan(Spread(0.0, 0.0).intraclass)


@pytest.mark.parametrize("shape", [(1, 3), (3, 1)])
def test_one_architecture_or_one_seed_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="two architectures and two seeds"):
        spread_of(np.zeros(shape))


def test_the_better_half_has_the_middle_one() -> None:
    rewards = np.array([[0.1, 0.1], [0.5, 0.7], [0.3, 0.3]])
    assert better_half(rewards).tolist() == [[0.5, 0.7], [0.3, 0.3]]


def rewards_of(rng: np.random.Generator, means: Floats, num_seeds: int, noise: float) -> Floats:
    rewards: Floats = means[:, None] + noise * rng.normal(size=(len(means), num_seeds))
    return rewards


@pytest.mark.parametrize(
    ("num", "num_seeds", "truth"), [(30, 2, 0.5), (30, 2, 0.9), (30, 3, 0.6), (15, 2, 0.7), (60, 3, 0.8)]
)
def test_intervals_of_the_intraclass_correlation_hold_it_as_often_as_they_say(
    num: int, num_seeds: int, truth: float
) -> None:
    rng = np.random.default_rng(0)
    num_held = 0
    for _ in range(600):
        rewards = rewards_of(rng, math.sqrt(truth) * rng.normal(size=num), num_seeds, math.sqrt(1 - truth))
        found = intraclass_estimate(rewards, num_resamples=200)
        num_held += found.low <= truth <= found.high
    assert 0.93 <= num_held / 600 <= 0.97


@pytest.mark.parametrize("num", [30, 60])
def test_intervals_of_the_better_half_hold_its_correlation_as_often_as_they_say(num: int) -> None:
    # The upper half of a normal distribution varies by 1 - 2 / pi of it.
    rng, noise = np.random.default_rng(0), 0.3
    variance = 1 - 2 / math.pi
    truth = variance / (variance + noise**2)
    num_held = 0
    for _ in range(600):
        found = intraclass_estimate(
            rewards_of(rng, rng.normal(size=num), 3, noise), of_better_half=True, num_resamples=200
        )
        num_held += found.low <= truth <= found.high
    assert 0.93 <= num_held / 600 <= 0.97


@pytest.mark.long
@pytest.mark.parametrize(("num", "correlation"), [(20, 0.6), (30, 0.8)])
def test_intervals_of_rank_correlations_hold_them_as_often_as_they_say(num: int, correlation: float) -> None:
    # Of a normal distribution: tau is 2 / pi asin(r), Spearman's 6 / pi asin(r / 2) (Kruskal, 1958).
    rng = np.random.default_rng(0)
    truths = {kendall_tau_b: 2 / math.pi * math.asin(correlation), spearman: 6 / math.pi * math.asin(correlation / 2)}
    num_held = dict.fromkeys(truths, 0)
    for _ in range(1000):
        first, other = rng.normal(size=(2, num))
        second = correlation * first + math.sqrt(1 - correlation**2) * other
        for statistic, truth in truths.items():
            found = estimate(statistic, first, second, num_resamples=300)
            num_held[statistic] += found.low <= truth <= found.high
    assert all(0.93 <= held / 1000 <= 0.97 for held in num_held.values())


def test_without_noise_the_correlation_is_1_and_without_differences_nothing_is_known() -> None:
    rng = np.random.default_rng(0)
    assert intraclass_estimate(np.repeat(rng.random((9, 1)), 2, axis=1)).value == 1.0
    assert math.isnan(intraclass_estimate(np.zeros((9, 2))).value)
