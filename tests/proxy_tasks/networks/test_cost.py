"""Parameters and multiply-adds against those of the published networks.

The expected numbers were counted outside of this project from tensorflow/tpu's code and agree with the paper's tables
to their rounding (28.5 M and 85.4 B for SpineNet-49). Here they must agree to every digit given.
"""

from dataclasses import replace

import pytest
import torch

from proxy_tasks.networks.cost import detector_cost, network_cost
from proxy_tasks.networks.spinenet import SpineNet
from search_space import PUBLISHED_SCALES, ModelScale, published_spec

NUM_CLASSES = 91
PROXY = ModelScale(width_multiplier=0.25, resample_alpha=0.25, endpoint_width=64, head_width=64, image_size_px=512)
SPINENET_49S_CODE = replace(PUBLISHED_SCALES["49S"], endpoint_width=128)


@pytest.mark.parametrize(
    ("name", "scale", "params_m", "macs_b"),
    [
        ("spinenet-49", PUBLISHED_SCALES["49S"], 11.944598, 33.745),
        ("spinenet-49", SPINENET_49S_CODE, 11.265942, 30.779),
        ("spinenet-49", PUBLISHED_SCALES["49"], 28.543, 85.282),
        ("spinenet-49", replace(PUBLISHED_SCALES["49"], image_size_px=896), 28.543, 167.152),
        ("spinenet-49", PUBLISHED_SCALES["96"], 42.975, 265.024),
        ("spinenet-49", PUBLISHED_SCALES["143"], 66.960, 523.338),
        ("spinenet-49", PUBLISHED_SCALES["190"], 163.637, 1881.660),
        ("r0-sp53", ModelScale(), 26.056, 94.770),
        ("r23-sp30", ModelScale(), 26.511, 95.482),
        ("spinenet-49", PROXY, 1.96, 5.84),
        ("r0-sp53", PROXY, 1.84, 6.15),
    ],
)
def test_detector_costs_what_the_published_one_costs(
    name: str, scale: ModelScale, params_m: float, macs_b: float
) -> None:
    cost = detector_cost(published_spec(name), scale, NUM_CLASSES)
    assert round(cost.params / 1e6, len(str(params_m).split(".")[1])) == params_m
    assert round(cost.macs / 1e9, len(str(macs_b).split(".")[1])) == macs_b


@pytest.mark.parametrize(
    ("scale", "params", "macs_b"),
    [
        (PUBLISHED_SCALES["49"], 21_831_488, 28.262),
        (PUBLISHED_SCALES["96"], 36_262_976, 119.054),
        (PUBLISHED_SCALES["143"], 60_247_616, 295.259),
        (PUBLISHED_SCALES["190"], 126_587_664, 620.983),
        (SPINENET_49S_CODE, 9_089_215, None),
    ],
)
def test_backbone_costs_what_the_published_one_costs(scale: ModelScale, params: int, macs_b: float | None) -> None:
    with torch.device("meta"):
        backbone = SpineNet(published_spec("spinenet-49"), scale)
    cost = network_cost(backbone, (scale.image_size_px, scale.image_size_px))
    assert cost.params == params
    assert macs_b is None or round(cost.macs / 1e9, 3) == macs_b
