"""Importance finds what a reward was made of, whatever else varies, and nothing in noise."""

import numpy as np
import pytest

from nas.assessment.importance import Importance, importance_of
from search_space import ArchSpec, Candidate, ScalePermutedSpace, resnet_seed
from search_space.resolution import levels_above
from search_space.spec import live_blocks

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"), level_offsets=(-1, 0, 1, 2), kinds=("bottleneck", "residual"))
RNG = np.random.default_rng(0)
SPECS = [SPACE.decode(SPACE.sample(RNG)).spec for _ in range(120)]


def num_built(spec: ArchSpec) -> int:
    return len(live_blocks(spec))


def of(rewards: list[float]) -> Importance:
    return importance_of([Candidate(spec) for spec in SPECS], rewards)


def test_the_feature_that_a_reward_is_made_of_comes_first_and_alone() -> None:
    noise = RNG.normal(0, 0.05, len(SPECS))
    found = of([-levels_above(spec)[3] + own for spec, own in zip(SPECS, noise, strict=True)])
    assert found.num_architectures == len(SPECS)
    assert found.explained.low > 0.9
    first, *others = found.features
    assert first.title == "resolution of the path to the output of level 3"
    assert first.lost.low > 10 * max(other.lost.high for other in others)


def test_two_parts_of_a_reward_are_both_found() -> None:
    rewards = [-levels_above(spec)[3] - 0.5 * num_built(spec) for spec in SPECS]
    titles = [one.title for one in of(rewards).features if one.lost.low > 0]
    assert set(titles[:2]) == {
        "resolution of the path to the output of level 3",
        "numbers of blocks and leftovers",
    }


def test_nothing_is_found_in_noise() -> None:
    found = of(RNG.normal(size=len(SPECS)).tolist())
    assert found.explained.low < 0


@pytest.mark.parametrize("reward", [0.0, 1e9])
def test_figures_do_not_depend_on_the_unit_of_rewards(reward: float) -> None:
    rewards = [-levels_above(spec)[3] + 0.1 * num_built(spec) for spec in SPECS]
    plain, moved = of(rewards), of([1e3 * own + reward for own in rewards])
    assert [one.title for one in plain.features[:2]] == [one.title for one in moved.features[:2]]
    assert plain.features[0].lost.value == pytest.approx(moved.features[0].lost.value, rel=0.05)


@pytest.mark.parametrize("unit", [1.0, 1e-200, 1e200])
def test_rewards_that_nearly_all_are_equal_have_figures_in_any_unit(unit: float) -> None:
    # Two in a hundred and twenty: one in seven resamples has neither, and so no variance.
    found = of([unit if number in (7, 70) else 0.0 for number in range(len(SPECS))])
    assert found == of([1.0 if number in (7, 70) else 0.0 for number in range(len(SPECS))])
    assert found.explained.low < found.explained.value < found.explained.high
