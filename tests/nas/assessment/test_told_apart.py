"""Means over seeds: which can be told apart, as often as the interval says."""

import math

import numpy as np
import pytest
from scipy import stats

from nas.assessment.student import student_95
from nas.assessment.told_apart import SeedDeviation, pooled_deviation
from nas.record.mean_reward import MeanReward, mean_reward


def test_student_t_is_that_of_scipy_from_one_degree_of_freedom_on() -> None:
    for degrees in (*range(1, 30), 100, 10_000):
        assert student_95(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=0.005)


def test_the_deviation_is_pooled_over_groups_of_any_size() -> None:
    # By hand: squares about the means are 2 of one degree and 8 of two; a single training adds nothing.
    means = [mean_reward([1.0, 3.0]), mean_reward([5.0, 7.0, 9.0]), mean_reward([4.0])]
    assert means[1] == MeanReward(7.0, 2.0, 3)
    assert pooled_deviation(means) == SeedDeviation(math.sqrt(10 / 3), 3)
    assert pooled_deviation(means[2:]) is None
    assert pooled_deviation([mean_reward([0.1] * 3)]) == SeedDeviation(0.0, 2)


def test_single_trainings_must_differ_by_the_root_of_two_more_than_the_quantile() -> None:
    deviation = SeedDeviation(0.1, 24)
    assert deviation.difference_told_apart(1, 1) == pytest.approx(math.sqrt(2) * 0.1 * 2.0639, rel=1e-3)
    assert deviation.difference_told_apart(3, 3) == pytest.approx(math.sqrt(2 / 3) * 0.1 * 2.0639, rel=1e-3)

    best = MeanReward(0.8, 0.1, 3)
    assert deviation.may_be_as_good(MeanReward(0.6), best)
    assert deviation.may_be_as_good(MeanReward(1.5), best)
    assert not deviation.may_be_as_good(MeanReward(0.5), best)


def test_equal_architectures_are_told_apart_in_one_case_of_twenty() -> None:
    rng, num_cases = np.random.default_rng(0), 4000
    num_apart = 0
    for rewards in rng.normal(size=(num_cases, 4, 3)):
        means = [mean_reward(own) for own in rewards.tolist()]
        deviation = pooled_deviation(means)
        assert deviation is not None
        num_apart += abs(means[0].mean - means[1].mean) > deviation.difference_told_apart(3, 3)
    # Two standard errors of a share of one in twenty.
    assert num_apart / num_cases == pytest.approx(0.05, abs=2 * math.sqrt(0.05 * 0.95 / num_cases))
