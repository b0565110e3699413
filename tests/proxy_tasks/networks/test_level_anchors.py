"""Anchors for torchvision's detectors: the closed form, whatever the size of the image."""

import math

import pytest
import torch
from torchvision.models.detection.image_list import ImageList

from proxy_tasks.detection.anchors import NUM_OCTAVES, make_anchors
from proxy_tasks.networks.level_anchors import LevelAnchors
from proxy_tasks.networks.named_networks import build_network
from search_space import ModelScale

LEVELS = (3, 4, 5, 6, 7)
TINY = ModelScale(width_multiplier=0.125, endpoint_width=8, num_head_convs=1, head_width=8, image_size_px=128)


def anchors_of(generator: torch.nn.Module, height: int, width: int, num_images: int = 1) -> list[torch.Tensor]:
    images = ImageList(torch.zeros(num_images, 3, height, width), [(height, width)] * num_images)
    features = [torch.zeros(num_images, 1, math.ceil(height / 2**n), math.ceil(width / 2**n)) for n in LEVELS]
    found: list[torch.Tensor] = generator(images, features)
    return found


def test_mask_rcnn_s_anchors_have_the_reference_s_centres_and_exact_sides() -> None:
    # tensorflow/tpu anchor.py: around (column + 0.5, row + 0.5) strides, three strides wide and high, then of the same
    # area twice as wide as high, and twice as high as wide. 160 px are no multiple of the strides of levels 6 and 7.
    generator = build_network("spinenet-49", TINY, head="mask_rcnn").get_submodule("rpn.anchor_generator")
    height, width = 96, 160
    expected = []
    for stride in (8, 16, 32, 64, 128):
        for row in range(math.ceil(height / stride)):
            for column in range(math.ceil(width / stride)):
                for ratio in (1.0, 2.0, 0.5):
                    half_x, half_y = 1.5 * stride * math.sqrt(ratio), 1.5 * stride / math.sqrt(ratio)
                    x, y = (column + 0.5) * stride, (row + 0.5) * stride
                    expected.append((x - half_x, y - half_y, x + half_x, y + half_y))
    first, second = anchors_of(generator, height, width, num_images=2)
    assert torch.allclose(first, torch.tensor(expected), rtol=0, atol=1e-4)  # float32 of up to 300 px
    assert torch.equal(first, second)
    assert first[1].tolist() == pytest.approx([4 - 33.94 / 2, 4 - 16.97 / 2, 4 + 33.94 / 2, 4 + 16.97 / 2], abs=0.01)


def test_three_octaves_are_the_anchors_that_our_own_detector_has() -> None:
    generator = LevelAnchors(LEVELS, [3.0 * 2 ** (octave / NUM_OCTAVES) for octave in range(NUM_OCTAVES)])
    assert generator.num_anchors_per_location() == [9] * 5
    expected = make_anchors(LEVELS, 200, 3.0, torch.device("cpu"))
    assert torch.allclose(anchors_of(generator, 200, 200)[0], expected, rtol=0, atol=1e-4)
