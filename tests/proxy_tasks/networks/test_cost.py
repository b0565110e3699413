"""Parameters and multiply-adds against those of the published networks.

The expected numbers were counted outside of this project from tensorflow/tpu's code and agree with the paper's tables
to their rounding (28.5 M and 85.4 B for SpineNet-49). Here they must agree to every digit given.
"""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from proxy_tasks.networks.cost import Cost, detector_cost, network_cost, on_meta, part_costs
from proxy_tasks.networks.named_networks import build_network, default_scale
from proxy_tasks.networks.spinenet import SpineNet
from search_space import PUBLISHED_SCALES, ArchSpec, ModelScale, published_scale, published_spec

NUM_CLASSES = 91
PROXY = ModelScale(width_multiplier=0.25, resample_alpha=0.25, endpoint_width=64, head_width=64, image_size_px=512)
SPINENET_49S_CODE = replace(PUBLISHED_SCALES["spinenet-49s"], endpoint_width=128)


def rounded(value: float, like: str) -> str:
    """Return the value with as many digits after the point as `like` has."""
    return f"{value:.{len(like.partition('.')[2])}f}"


@pytest.mark.parametrize(
    ("name", "scale", "params_m", "macs_b"),
    [
        ("spinenet-49s", None, "11.944598", "33.745"),
        ("spinenet-49s", SPINENET_49S_CODE, "11.265942", "30.779"),
        ("spinenet-49", None, "28.543", "85.282"),
        ("spinenet-49", replace(PUBLISHED_SCALES["spinenet-49"], image_size_px=896), "28.543", "167.152"),
        ("spinenet-96", None, "42.975", "265.024"),
        ("spinenet-143", None, "66.960", "523.338"),
        ("spinenet-190", None, "163.637", "1881.660"),
        ("spinenet-mobile-49", None, "2.338", "0.981"),
        ("spinenet-mobile-49s", None, "1.031", "0.496"),
        ("spinenet-mobile-49xs", None, "0.873", "0.166"),
        ("r0-sp53", None, "26.056", "94.770"),
        ("r23-sp30", None, "26.511", "95.482"),
        ("spinenet-49", PROXY, "1.96", "5.84"),
        ("r0-sp53", PROXY, "1.84", "6.15"),
    ],
)
def test_detector_costs_what_the_published_one_costs(
    name: str, scale: ModelScale | None, params_m: str, macs_b: str
) -> None:
    cost = detector_cost(published_spec(name), scale or published_scale(name), NUM_CLASSES)
    assert (rounded(cost.params / 1e6, params_m), rounded(cost.macs / 1e9, macs_b)) == (params_m, macs_b)


@pytest.mark.parametrize(
    ("name", "scale", "params", "macs_b"),
    [
        ("spinenet-49", None, 21_831_488, 28.262),
        ("spinenet-96", None, 36_262_976, 119.054),
        ("spinenet-143", None, 60_247_616, 295.259),
        ("spinenet-143l", None, 100_796_257, None),
        ("spinenet-190", None, 126_587_664, 620.983),
        ("spinenet-49s", SPINENET_49S_CODE, 9_089_215, None),
    ],
)
def test_backbone_costs_what_the_published_one_costs(
    name: str, scale: ModelScale | None, params: int, macs_b: float | None
) -> None:
    scale = scale or published_scale(name)
    backbone = on_meta(partial(build_network, name, scale, head="none"))
    cost = network_cost(backbone, (scale.image_size_px, scale.image_size_px))
    assert cost.params == params
    assert macs_b is None or round(cost.macs / 1e9, 3) == macs_b


@pytest.mark.parametrize(
    ("name", "num_classes", "params_m", "macs_b"),
    [
        ("spinenet-49", 1001, 22.089, 3.478),
        ("spinenet-96", 1001, 36.520, 5.724),
        ("spinenet-143", 1001, 60.505, 9.087),
        ("spinenet-190", 1001, 127.101, 19.112),
        ("spinenet-49", 5089, 23.139, None),
        ("spinenet-96", 5089, 37.571, None),
        ("spinenet-143", 5089, 61.555, None),
        ("spinenet-190", 5089, 129.198, None),
    ],
)
def test_classifier_costs_what_the_published_one_costs(
    name: str, num_classes: int, params_m: float, macs_b: float | None
) -> None:
    cost = network_cost(on_meta(partial(build_network, name, head="classifier", num_classes=num_classes)), (224, 224))
    assert round(cost.params / 1e6, 3) == params_m
    assert macs_b is None or round(cost.macs / 1e9, 3) == macs_b


@pytest.mark.parametrize(
    ("name", "params_m", "macs_b", "tolerance"),
    [
        ("spinenet-49s", 13.9, 60.2, 0.009),
        ("spinenet-49", 40.8, 216.1, 0.0035),
        ("spinenet-96", 55.2, 315.0, 0.003),
        ("spinenet-143", 79.2, 498.8, 0.003),
    ],
)
def test_mask_rcnn_has_the_paper_s_parameters(name: str, params_m: float, macs_b: float, tolerance: float) -> None:
    # Table 6 of the paper. Its multiply-adds also count RoIAlign, additions and suppression: 0.5 to 1.2 B more.
    size = default_scale(name, "mask_rcnn").image_size_px
    network = on_meta(partial(build_network, name, head="mask_rcnn", num_classes=90))
    cost = network_cost(network, (size, size))
    assert round(cost.params / 1e6, 1) == params_m
    assert cost.macs / 1e9 == pytest.approx(macs_b, rel=tolerance)


def test_mask_rcnn_of_the_largest_network_has_heads_of_its_own() -> None:
    # tensorflow/tpu's model zoo says 168.2 M. That is one convolution before proposals; the released configuration has
    # seven, of 384 channels with a bias and five normalisations each.
    assert default_scale("spinenet-190", "mask_rcnn").image_size_px == 1536
    network = on_meta(partial(build_network, "spinenet-190", head="mask_rcnn", num_classes=90))
    six_more = 6 * (384 * 384 * 9 + 384 + 5 * 2 * 384)
    assert round((network_cost(network, (128, 128)).params - six_more) / 1e6, 1) == 168.2


def test_baseline_costs_what_the_published_one_costs() -> None:
    # tensorflow/tpu's model zoo says 97.0 B and, one digit off its own code, 34.0 M.
    network = on_meta(partial(build_network, "r50-fpn", num_classes=NUM_CLASSES))
    cost = network_cost(network, (640, 640))
    assert cost.params == 34_091_159 - 2 * 5 * 256  # the reference normalises the five pyramid features
    assert cost.macs / 1e9 == pytest.approx(97.0, rel=0.003)


@pytest.mark.parametrize("name", ["spinenet-49", "spinenet-mobile-49", "r50-fpn"])
@pytest.mark.parametrize("head", ["retinanet", "classifier", "none"])
def test_multiply_adds_are_those_that_torch_counts(name: str, head: str) -> None:
    network = on_meta(partial(build_network, name, head=head, num_classes=7))  # type: ignore[arg-type]  # of the three
    cost = network_cost(network, (97, 128))
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.empty(1, 3, 97, 128, device="meta"))
    assert 2 * cost.macs == counter.get_total_flops()
    assert cost.params == sum(p.numel() for p in network.parameters())


def test_the_parts_add_up_to_the_whole() -> None:
    costs = part_costs(on_meta(partial(build_network, "r0-sp53")), (128, 128))
    assert costs[""] == costs["backbone"] + costs["class_tower"] + costs["box_tower"]
    blocks = Cost(0, 0)
    for name in ("stem_conv", "stem", "narrows", "fusions", "blocks", "endpoints"):
        blocks += costs[f"backbone.{name}"]
    assert costs["backbone"] == blocks


@pytest.mark.parametrize("head", ["retinanet", "mask_rcnn"])
def test_every_module_has_its_cost(head: str) -> None:
    network = on_meta(partial(build_network, "spinenet-49", head=head))  # type: ignore[arg-type]  # one of the two
    costs = part_costs(network, (128, 128))
    assert set(costs) == {name for name, _ in network.named_modules()}
    children = [costs[name] for name, _ in network.named_children()]
    assert sum(cost.params for cost in children) == costs[""].params
    assert sum(cost.macs for cost in children) == costs[""].macs


def test_a_first_convolution_of_16_channels_costs_what_48_more_would_add() -> None:
    scale = ModelScale(width_multiplier=0.125, endpoint_width=32, head_width=32, image_size_px=128)
    wide, narrow = (
        detector_cost(published_spec("r0-sp53"), replace(scale, stem_width=width), NUM_CLASSES) for width in (64, 16)
    )

    # By hand: a 7x7 kernel on three channels at 64 x 64 px, and in the first block, whose width is 8 at 32 x 32 px, a
    # 1x1 kernel to 8 and a shortcut to 32 channels. Only the normalisation's two parameters multiply nothing.
    assert wide.params - narrow.params == 48 * (7 * 7 * 3 + 2 + 8 + 32)
    assert wide.macs - narrow.macs == 48 * (7 * 7 * 3 * 64 * 64 + (8 + 32) * 32 * 32)

    # A mobile network's first convolution follows the width multiplier.
    mobile, scale = published_spec("spinenet-mobile-49"), published_scale("spinenet-mobile-49")
    assert detector_cost(mobile, replace(scale, stem_width=16), 1) == detector_cost(mobile, scale, 1)


def test_frozen_parameters_do_not_count() -> None:
    network = on_meta(partial(build_network, "spinenet-49", head="none"))
    network.requires_grad_(False)
    assert network_cost(network, (128, 128)).params == 0


def test_a_network_with_values_is_refused() -> None:
    spec = published_spec("spinenet-mobile-49")
    small = ModelScale(width_multiplier=0.125, head_width=8, endpoint_width=8, image_size_px=64)
    for network in (
        SpineNet(spec, PUBLISHED_SCALES["spinenet-mobile-49"]),
        build_network("spinenet-49", small, head="mask_rcnn"),
    ):
        with pytest.raises(ValueError, match="counted on the meta device; build the network with on_meta"):
            network_cost(network, (64, 64))


def test_counting_leaves_no_hooks() -> None:
    network = on_meta(lambda: SpineNet(one_block(), ModelScale()))
    first = network_cost(network, (64, 64))
    assert network_cost(network, (64, 64)) == first
    assert all(not module._forward_hooks for module in network.modules())


def one_block() -> ArchSpec:
    spec = published_spec("spinenet-49")
    return ArchSpec(spec.stem, (replace(spec.blocks[0], is_output=True),))
