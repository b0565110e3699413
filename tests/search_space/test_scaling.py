import itertools
from dataclasses import replace

import numpy as np
import pytest

from proxy_tasks.networks.cost import detector_cost, on_meta
from proxy_tasks.networks.named_networks import build_detector
from search_space import Candidate, ModelScale, ScalePermutedSpace, ScalingSpace, published_spec, resnet_seed

SPEC = published_spec("spinenet-49")
VERTEX = ScalingSpace(
    SPEC,
    ModelScale(),
    image_size_px=(512, 640),
    endpoint_width=(192, 256),
    width_multiplier=(0.8, 1.0, 1.2),
    resample_alpha=(0.75, 1.0, 1.25),
    block_repeats=(2, 3, 4),
    num_head_convs=(4, 5),
    head_width=(192, 256),
)
EVERY = list(itertools.product(*(range(decision.num_options) for decision in VERTEX.decisions)))
JOINT = ScalingSpace(ScalePermutedSpace(resnet_seed("r0-sp53")), ModelScale(), block_repeats=(1, 2), head_width=(64,))


def test_the_space_of_vertex_ai_has_432_candidates_which_all_differ() -> None:
    """Its size by google/vertex-ai-nas: 2 * 2 * 3 * 3 * 3 * 2 * 2."""
    candidates = [VERTEX.decode(decisions) for decisions in EVERY]
    assert len(EVERY) == VERTEX.num_scales == 432
    assert len({candidate.scale for candidate in candidates}) == len({one.key for one in candidates}) == 432
    assert {candidate.spec for candidate in candidates} == {SPEC}
    assert [VERTEX.encode(candidate) for candidate in candidates] == EVERY


@pytest.mark.parametrize("number", [0, 431])
def test_its_networks_have_the_parameters_that_are_counted(number: int) -> None:
    assert_counted(number)


@pytest.mark.long
def test_all_its_networks_have_the_parameters_that_are_counted() -> None:
    for number in range(432):
        assert_counted(number)


def assert_counted(number: int) -> None:
    scale = VERTEX.decode(EVERY[number]).scale
    assert scale is not None
    network = on_meta(lambda: build_detector(SPEC, scale, 80))
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    assert detector_cost(SPEC, scale, 80).params == num_parameters


def test_topology_and_scale_are_decided_together() -> None:
    inner = ScalePermutedSpace(resnet_seed("r0-sp53"))
    decisions = JOINT.sample(np.random.default_rng(0))
    found = JOINT.decode(decisions)
    assert found.spec == inner.decode(decisions[:-1]).spec
    # One value is no decision.
    assert found.scale == ModelScale(block_repeats=1 + decisions[-1], head_width=64)
    assert JOINT.decisions == (*inner.decisions, JOINT.decisions[-1])
    assert JOINT.decode(JOINT.encode(found)) == found


def test_a_mutation_changes_one_size_or_the_topology() -> None:
    rng = np.random.default_rng(0)
    decisions = JOINT.sample(rng)
    changed = [JOINT.mutate(decisions, rng) for _ in range(100)]
    is_size = [one[:-1] == decisions[:-1] for one in changed]
    assert all((one[-1] != decisions[-1]) == size for one, size in zip(changed, is_size, strict=True))
    assert 30 < sum(is_size) < 70

    points = [VERTEX.mutate(EVERY[7], rng) for _ in range(100)]
    assert all(sum(a != b for a, b in zip(point, EVERY[7], strict=True)) == 1 for point in points)


def test_features_tell_scales_apart() -> None:
    assert len({VERTEX.features(decisions) for decisions in EVERY}) == 432
    assert len(VERTEX.feature_names) == len(VERTEX.features(EVERY[0]))


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (Candidate(SPEC), "it has no scale"),
        (Candidate(SPEC, ModelScale()), r"scale.resample_alpha must be 0.75 or 1 or 1.25, got 0.5"),
        (
            Candidate(SPEC, ModelScale(resample_alpha=1.0, block_repeats=2, activation="silu")),
            "what is not searched of its scale",
        ),
        (
            Candidate(published_spec("r0-sp53"), ModelScale(resample_alpha=1.0, block_repeats=2)),
            "outputs must come in the order",
        ),
    ],
)
def test_what_is_outside_is_refused(candidate: Candidate, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VERTEX.encode(candidate)


def test_images_larger_than_those_kept_are_refused_by_one_line() -> None:
    with pytest.raises(ValueError, match=r"640 is above scale.image_size_px=512, .* give scale.image_size_px=640"):
        ScalingSpace(SPEC, replace(ModelScale(), image_size_px=512), image_size_px=(512, 640))


def test_decisions_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="legal options are"):
        VERTEX.decode((*EVERY[0][:-1], 2))
    with pytest.raises(ValueError, match="has 7 decisions, got 1"):
        VERTEX.decode((0,))
    with pytest.raises(ValueError, match="the prefix already 7"):
        VERTEX.legal(EVERY[0])
