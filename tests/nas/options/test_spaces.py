"""The spaces that YAML names: each is as large as its source says."""

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest

from nas.options.command_line import compose
from nas.setup import build_setup
from search_space import PUBLISHED_SCALES, ScalePermutedSpace
from search_space.kinds import MOBILE

NUM_OUTPUTS = 5


def closed_form(counts: Mapping[int, int], num_offsets: int, num_kinds: int, window: int) -> int:
    """Return labelled orders x parents x levels x kinds, counted as section 3 of the paper does."""
    num_inner = sum(counts.values())
    orders = math.factorial(num_inner) * math.factorial(NUM_OUTPUTS)
    inner = math.prod(math.comb(min(2 + i, window), 2) for i in range(num_inner))
    outer = math.prod(math.comb(2 + num_inner + i, 2) for i in range(NUM_OUTPUTS))
    kinds: int = num_kinds ** (num_inner + NUM_OUTPUTS)
    levels: int = num_offsets**num_inner
    return orders * inner * outer * levels * kinds


# SpineNet (arXiv 1912.05027), table 1, and google/vertex-ai-nas, tunable_spinenet_search_space.py.
@pytest.mark.parametrize(
    ("name", "counts", "num_offsets", "num_kinds", "window"),
    [
        ("spinenet", {2: 1, 3: 3, 4: 5, 5: 1}, 4, 2, 5),
        ("r14_sp39", {2: 2, 3: 2, 4: 4}, 1, 1, 5),
        ("r35_sp18", {2: 1}, 1, 1, 5),
        ("vertex_spinenet", {2: 1, 3: 3, 4: 5, 5: 2}, 4, 2, 4),
        ("vertex_spinenet_v2", {2: 1, 3: 3, 4: 5, 5: 1}, 3, 1, 4),
        ("spinenet_mbconv", {2: 1, 3: 1, 4: 5, 5: 4}, 4, 1, 4),
    ],
)
def test_a_space_is_as_large_as_its_source_says(
    name: str, counts: dict[int, int], num_offsets: int, num_kinds: int, window: int
) -> None:
    space = build_setup(compose("config", [f"space={name}", "task=landscape"])).space
    assert isinstance(space, ScalePermutedSpace)
    assert space.size().total == closed_form(counts, num_offsets, num_kinds, window)

    levels = [decision.options for decision in space.decisions if decision.name.endswith(".level")]
    assert Counter(levels) == {tuple(map(str, sorted(counts))): sum(counts.values()), tuple("34567"): NUM_OUTPUTS}


def test_the_mobile_search_has_mobile_blocks_at_a_mobile_scale() -> None:
    setup = build_setup(compose("config", ["experiment=spinenet_mobile", "data.root=/data/coco"]))
    assert setup.scale == PUBLISHED_SCALES["spinenet-mobile-49xs"]
    assert setup.space.decode(setup.space.sample(np.random.default_rng(0))).spec.family == MOBILE
