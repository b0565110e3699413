"""The verdict in words: its rules, and what it says of proxies whose truth is known."""

import math

import numpy as np
import pytest

from nas.assessment.correlation import Floats
from nas.assessment.figures import figures_of
from nas.assessment.interval import Estimate
from nas.assessment.verdict import seeds_needed, verdict_of
from tests.nas.assessment.test_figures import proxy_of


def verdict(rewards: Floats, target: Floats | None = None) -> str:
    return verdict_of(figures_of(proxy_of(rewards), None if target is None else proxy_of(target), top=3))


def rewards_of(seed: int, between: float, within: float, num: int = 20, num_seeds: int = 3) -> Floats:
    rng = np.random.default_rng(seed)
    rewards: Floats = between * rng.normal(size=num)[:, None] + within * rng.normal(size=(num, num_seeds))
    return rewards


def test_a_proxy_that_ignores_the_architecture_does_not_rank() -> None:
    said = [verdict(rewards_of(seed, 0, 1)) for seed in range(100)]
    # Of a 95 % interval one side alone counts here.
    assert sum(one.startswith("does not rank: ") for one in said) >= 95
    # One reward that differs: as much between as within, but for rounding.
    one = np.zeros((9, 2))
    one[3, 0] = 0.0168
    for rewards in (np.ones((9, 2)), one):
        assert verdict(rewards).startswith("does not rank: its architectures differ by no more than their seeds")


def test_a_proxy_that_ranks_otherwise_than_its_target_does_not_rank() -> None:
    said = verdict(rewards_of(0, 1, 0.1), rewards_of(1, 1, 0.1))
    assert said.startswith("does not rank: the interval of its rank correlation with the target includes 0")
    assert verdict(rewards_of(0, 1, 0.1), np.ones((20, 2))).startswith("does not rank: the rewards of a seed, or")


def test_a_proxy_with_little_noise_chooses_the_winner() -> None:
    assert verdict(rewards_of(0, 1, 0.01)).endswith("; enough to search and to choose the winner")
    # Without any noise there is nothing to draw an interval from, and none is needed.
    assert verdict(np.repeat(np.arange(9.0)[:, None], 2, axis=1)).startswith("two architectures must differ by 0 ")


def test_a_proxy_with_some_noise_searches_and_says_what_to_replay() -> None:
    rewards = rewards_of(0, 1, 0.35)
    within = math.sqrt(rewards.var(-1, ddof=1).mean())
    num_close = int((rewards.mean(-1) > rewards.mean(-1).max() - 1.96 * math.sqrt(2) * within).sum())
    expected = (
        f"two architectures must differ by {1.96 * math.sqrt(2) * within:.2g} to be told apart with one training "
        f"each; enough to search, not to choose the winner: replay the best {num_close} with "
    )
    assert verdict(rewards).startswith(expected)


def test_of_few_architectures_nothing_is_said() -> None:
    assert verdict(rewards_of(0, 1, 0.1, num=4)) == "unknown: too few architectures for an interval; train more of them"


@pytest.mark.parametrize(("single", "num_seeds"), [(0.8, 1), (0.5, 4), (0.3, 10), (0.2, None), (math.nan, None)])
def test_seeds_are_those_that_make_a_mean_reliable(single: float, num_seeds: int | None) -> None:
    # 4 seeds of 0.5: 4 * 0.5 / (1 + 3 * 0.5) = 0.8.
    assert seeds_needed(Estimate(single, 0, 1)) == num_seeds
