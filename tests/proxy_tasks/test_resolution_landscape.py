import numpy as np
import pytest

from proxy_tasks.landscape import Landscape, true_score
from proxy_tasks.resolution_landscape import ResolutionLandscape
from search_space import ArchSpec, BlockSpec, ScalePermutedSpace, StemBlock, published_spec, resnet_seed

STEM = (StemBlock(2), StemBlock(2))


def test_it_is_the_landscape_where_detail_reaches_the_finest_output_and_a_third_of_it_elsewhere() -> None:
    through_coarse = ArchSpec(STEM, (BlockSpec(5, "bottleneck", (0, 1)), BlockSpec(3, "residual", (2,), True)))
    beside = ArchSpec(STEM, (BlockSpec(5, "bottleneck", (0, 1)), BlockSpec(3, "residual", (1, 2), True)))
    task = ResolutionLandscape(seed=2)
    assert task.score(through_coarse) == pytest.approx(true_score(through_coarse, 2) / 3)
    assert task.score(beside) == true_score(beside, 2)
    assert task.score(published_spec("spinenet-49")) == Landscape(seed=2).score(published_spec("spinenet-49"))


def test_it_splits_random_architectures_as_real_training_did() -> None:
    # 58 % of random architectures were counted to have a path for level 3.
    space = ScalePermutedSpace(resnet_seed("r0-sp53"))
    drawn = [space.decode(space.sample(np.random.default_rng(i))).spec for i in range(400)]
    task = ResolutionLandscape()
    assert np.mean([task.score(spec) == true_score(spec) for spec in drawn]) == pytest.approx(0.58, abs=0.08)
