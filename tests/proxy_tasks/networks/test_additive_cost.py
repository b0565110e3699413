"""Costs by parts are those that are counted layer by layer."""

import numpy as np
import pytest

from proxy_tasks.networks import additive_cost
from proxy_tasks.networks.additive_cost import DetectorCosts
from proxy_tasks.networks.cost import Cost, detector_cost
from search_space import ArchSpec, Candidate, ModelScale, ScalePermutedSpace, published_spec, resnet_seed

# 72 pixels are no whole number of pixels at the levels from 4 on.
SMALL = ModelScale(width_multiplier=0.25, endpoint_width=8, num_head_convs=1, head_width=8, image_size_px=72)


def mutants(base: ArchSpec, level_offsets: tuple[int, ...], kinds: tuple[str, ...]) -> list[ArchSpec]:
    """Return a base and two architectures, each a few changes from the one before: they share most parts."""
    space = ScalePermutedSpace(base, level_offsets=level_offsets, kinds=kinds, window=None)
    rng = np.random.default_rng(0)
    decisions = [space.encode(Candidate(base))]
    for _ in range(2):
        decisions.append(space.mutate(space.mutate(decisions[-1], rng), rng))
    return [space.decode(own).spec for own in decisions]


@pytest.mark.parametrize(
    ("base", "level_offsets", "kinds"),
    [
        (resnet_seed("r0-sp53"), (-1, 0, 1, 2), ("bottleneck", "residual")),
        (published_spec("spinenet-mobile-49"), (), ()),
    ],
    ids=["resnet", "mobile"],
)
def test_the_sum_of_parts_is_what_is_counted_layer_by_layer(
    base: ArchSpec, level_offsets: tuple[int, ...], kinds: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = mutants(base, level_offsets, kinds)
    counted = [detector_cost(spec, SMALL, 3) for spec in specs]
    costs = DetectorCosts(SMALL, 3)
    assert [costs.of(spec) for spec in specs] == counted

    # Each part now has the cost that it had in the last network with it, and nothing is left to count.
    monkeypatch.setattr(additive_cost, "build_detector", None)
    assert [costs.of(spec) for spec in specs] == counted
    assert len(set(counted)) > 1


def test_a_scale_that_does_not_fit_is_refused() -> None:
    narrow = ModelScale(width_multiplier=0.04, resample_alpha=1.0, image_size_px=64)
    assert isinstance(DetectorCosts(narrow, 1).of(published_spec("spinenet-49")), Cost)
    with pytest.raises(ValueError, match="leaves a block of this spec no channel"):
        DetectorCosts(narrow, 1).of(published_spec("spinenet-mobile-49"))
