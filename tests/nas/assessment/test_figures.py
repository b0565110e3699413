"""Figures of proxies: by hand on a few rewards, and with known truths on drawn ones."""

import math

import numpy as np
import pytest

from nas.assessment.correlation import Floats, spearman
from nas.assessment.early_drop import early_drop
from nas.assessment.figures import corrected_correlation, correlation_per_second, figures_of, rank_by_one_training
from nas.assessment.interval import between_estimate, within_estimate
from nas.assessment.trained import TrainedProxy


def proxy_of(rewards: Floats, seconds: float = math.nan, losses: Floats | None = None) -> TrainedProxy:
    no_losses = np.zeros((*rewards.shape, 0))
    return TrainedProxy("proxy", rewards, np.full(rewards.shape, seconds), no_losses if losses is None else losses)


# Ranks of the target's means: 0 1 2 3. The first seed agrees but for one neighbouring pair, the second is reversed.
TARGET = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]])
PROXY = np.array([[1.0, 9.0], [3.0, 8.0], [2.0, 7.0], [4.0, 6.0]])


def test_a_ranking_is_the_mean_of_those_by_one_training_each() -> None:
    # 1 - 6 * 2 / (4 * 15) for the first seed, -1 for the second.
    assert rank_by_one_training(spearman)(PROXY, TARGET) == pytest.approx((0.8 - 1) / 2)
    assert correlation_per_second(PROXY, np.full((4, 2), 4.0), TARGET) == pytest.approx(-0.1 / 4)

    ranking = figures_of(proxy_of(PROXY), proxy_of(TARGET), top=1)
    assert ranking.target is not None
    # Best by the first seed is the target's best; by the second its worst, 3 below.
    assert ranking.target.overall.regret.value == pytest.approx((0 + 3) / 2)
    # The better half is the last two, which the first seed orders rightly and the second wrongly.
    assert ranking.target.better_half.kendall.value == pytest.approx((1 - 1) / 2)
    assert math.isnan(ranking.target.per_second.value)


def test_a_correlation_without_noise_is_divided_by_the_root_of_the_reliabilities() -> None:
    # Means 2, 6, 10 with a variance of 2 within: between is 16 - 2 / 2, the means' reliability 15 / 16.
    noisy = np.array([[1.0, 3.0], [5.0, 7.0], [9.0, 11.0]])
    swapped = noisy[[1, 0, 2]]
    # Means in the order 1, 0, 2: a Spearman of 0.5.
    assert corrected_correlation(noisy, swapped) == pytest.approx(0.5 / (15 / 16))
    assert corrected_correlation(noisy, noisy) == 1.0
    assert math.isnan(corrected_correlation(np.ones((3, 2)), noisy))


def test_a_correlation_without_noise_is_that_of_the_true_means() -> None:
    rng = np.random.default_rng(0)
    num, truth = 400, 0.7
    first, other = rng.normal(size=(2, num))
    second = truth * first + math.sqrt(1 - truth**2) * other
    tables = [means[:, None] + rng.normal(size=(num, 2)) for means in (first, second)]
    true_spearman = 6 / math.pi * math.asin(truth / 2)
    assert corrected_correlation(*tables) == pytest.approx(true_spearman, abs=0.08)
    assert spearman(tables[0].mean(-1), tables[1].mean(-1)) < true_spearman - 0.15


def test_the_worst_quarter_is_counted_in_both_halves_of_the_target() -> None:
    target = np.repeat(np.arange(8.0)[:, None], 2, axis=1)
    # The first seed drops the two worst of the target, the second its best and its worst.
    proxy = np.array([[0, 0], [1, 5], [5, 6], [5, 7], [6, 7], [7, 8], [8, 8], [9, 1]], dtype=float)
    dropped = early_drop(proxy, target)
    assert dropped.of_hopeless.value == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert dropped.of_good.value == pytest.approx((0 + 1 / 4) / 2)


def test_a_ranking_settles_where_the_loss_ranks_as_it_does_at_the_end() -> None:
    order = np.arange(6.0)
    losses = np.stack([order, np.roll(order, 2), -order, -order], axis=-1)[:, None].repeat(2, axis=1)  # (N, S, P)
    figures = figures_of(proxy_of(np.stack([order, order + 0.1], axis=-1), losses=losses), None, top=1)
    assert [point.spearman.value for point in figures.curve] == pytest.approx([-1, 13 / 35, 1, 1])
    assert figures.settles_at == 0.75
    assert figures_of(proxy_of(TARGET), None, top=1).settles_at is None


def test_intervals_of_a_difference_of_two_proxies_are_paired() -> None:
    # Two proxies with equal rewards do not differ in any resample.
    from nas.assessment.interval import estimate

    correlation = rank_by_one_training(spearman)
    rng = np.random.default_rng(0)
    first, target = rng.normal(size=(2, 9, 2))
    same = estimate(lambda one, other, truth: correlation(one, truth) - correlation(other, truth), first, first, target)
    assert (same.value, same.low, same.high) == (0, 0, 0)


@pytest.mark.parametrize(("num", "num_seeds"), [(30, 3), (20, 2)])
def test_intervals_of_both_deviations_hold_them_nearly_as_often_as_they_say(num: int, num_seeds: int) -> None:
    rng = np.random.default_rng(0)
    num_held = np.zeros(2)
    for _ in range(600):
        rewards = rng.normal(size=num)[:, None] + 0.5 * rng.normal(size=(num, num_seeds))
        between, within = (found(rewards, num_resamples=200) for found in (between_estimate, within_estimate))
        num_held += [between.low <= 1 <= between.high, within.low <= 0.5 <= within.high]
    # A little less than 95 %: the bootstrap of few architectures knows less than there is of rare ones.
    assert all(0.92 <= held / 600 <= 0.97 for held in num_held)
