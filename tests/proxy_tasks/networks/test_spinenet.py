import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_tasks.networks.layers import ConvNorm, LayerStyle, same_max_pool
from proxy_tasks.networks.resample import Resample
from proxy_tasks.networks.retinanet import NUM_ANCHORS_PER_LOCATION, PRIOR_PROBABILITY, spinenet_detector
from proxy_tasks.networks.spinenet import SpineNet
from search_space import ArchSpec, BlockSpec, ModelScale, ScalePermutedSpace, StemBlock, published_spec, resnet_seed

TINY = ModelScale(width_multiplier=0.0625, resample_alpha=0.5, endpoint_width=8, num_head_convs=1, head_width=8)
RELU = LayerStyle("relu")
SPACES = (
    ScalePermutedSpace(resnet_seed("r0-sp53")),
    ScalePermutedSpace(resnet_seed("r23-sp30")),
    ScalePermutedSpace(resnet_seed("r14-sp39"), kinds=("residual",)),
)


@given(seed=st.integers(0, 2**32 - 1), which=st.integers(0, len(SPACES) - 1), repeats=st.integers(1, 2))
@settings(max_examples=12, deadline=None)
def test_every_parameter_of_a_random_spec_gets_a_gradient(seed: int, which: int, repeats: int) -> None:
    space = SPACES[which]
    spec = space.decode(space.sample(np.random.default_rng(seed)))
    torch.manual_seed(0)
    scale = ModelScale(
        width_multiplier=0.0625,
        resample_alpha=0.5,
        block_repeats=repeats,
        endpoint_width=8,
        num_head_convs=1,
        head_width=8,
        activation="silu",
    )
    network = spinenet_detector(spec, scale, num_classes=2)
    raw = network(torch.randn(2, 3, 128, 128))
    (raw.class_logits.sum() + raw.box_codes.sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", ["spinenet-49", "r0-sp53", "r23-sp30"])
@pytest.mark.parametrize("size", [(128, 128), (64, 64), (96, 160), (97, 333), (224, 224)])
def test_endpoints_have_the_sizes_of_their_levels(name: str, size: tuple[int, int]) -> None:
    backbone = SpineNet(published_spec(name), TINY).eval()
    with torch.no_grad():
        endpoints = backbone(torch.zeros(1, 3, *size))
    expected = [(1, 8, math.ceil(size[0] / 2**level), math.ceil(size[1] / 2**level)) for level in (3, 4, 5, 6, 7)]
    assert [tuple(endpoint.shape) for endpoint in endpoints] == expected


def test_blocks_that_reach_no_output_are_not_built() -> None:
    stem = (StemBlock(2), StemBlock(2))
    output = BlockSpec(3, "bottleneck", (0, 1), True)
    dead = BlockSpec(5, "residual", (0, 1))
    lean = SpineNet(ArchSpec(stem, (output,)), TINY)
    fat = SpineNet(ArchSpec(stem, (dead, output)), TINY)
    assert sum(p.numel() for p in fat.parameters()) == sum(p.numel() for p in lean.parameters())


@pytest.mark.parametrize(("parents", "num_built"), [((0, 1), 2), ((0,), 1), ((1,), 2)])
def test_stem_ends_at_the_last_block_that_is_used(parents: tuple[int, ...], num_built: int) -> None:
    spec = ArchSpec((StemBlock(2), StemBlock(2)), (BlockSpec(3, "bottleneck", parents, True),))
    backbone = SpineNet(spec, TINY).eval()
    assert len(backbone.stem) == num_built
    backbone(torch.zeros(1, 3, 64, 64))


def test_leftover_is_added_to_its_output() -> None:
    stem = (StemBlock(2), StemBlock(2))
    leftover = BlockSpec(3, "bottleneck", (0, 1))
    torch.manual_seed(0)
    backbone = SpineNet(ArchSpec(stem, (leftover, BlockSpec(3, "bottleneck", (0, 1), True))), TINY).eval()
    image = torch.randn(1, 3, 64, 64)
    before = backbone(image)[0]
    # The leftover feature ends in a ReLU over its shortcut: change what its last normalisation adds.
    unit = backbone.blocks["2"].get_submodule("0")
    last_norm = unit.get_submodule("branch.2.1")
    with torch.no_grad():
        assert isinstance(last_norm.bias, torch.Tensor)
        last_norm.bias += 1.0
    assert not torch.equal(backbone(image)[0], before)


@pytest.mark.parametrize(
    ("source", "target", "stride", "kernel"),
    [(64, 32, None, None), (64, 16, 2, 3), (64, 8, 4, 5), (64, 4, 8, 5), (64, 2, 16, 5), (56, 14, 2, 3), (28, 3, 2, 5)],
)
def test_one_pool_follows_the_strided_convolution(
    monkeypatch: pytest.MonkeyPatch, source: int, target: int, stride: int | None, kernel: int | None
) -> None:
    # tensorflow/tpu resample_with_alpha: ratio 4 is kernel 3 stride 2, from ratio 8 on kernel 5 stride ratio / 2; sizes
    # that do not divide pool with stride 2 and are resized.
    pools: list[tuple[object, object]] = []

    def spy(x: torch.Tensor, kernel_size: tuple[int, int], stride: tuple[int, int]) -> torch.Tensor:
        pools.append((kernel_size, stride))
        return same_max_pool(x, kernel_size, stride)

    monkeypatch.setattr("proxy_tasks.networks.resample.same_max_pool", spy)
    module = Resample(8, 4, 8, 2, RELU)
    assert module(torch.zeros(1, 8, source, source), (target, target)).shape == (1, 8, target, target)
    assert pools == ([] if stride is None else [((kernel, kernel), (stride, stride))])


def test_width_inside_a_resampling_comes_from_the_3x3_convolutions() -> None:
    # alpha * C of the parent, not alpha * 4C: the mistake of several ports.
    spec = ArchSpec((StemBlock(2), StemBlock(2)), (BlockSpec(3, "bottleneck", (0, 1), True),))
    backbone = SpineNet(spec, ModelScale(resample_alpha=0.5))
    narrow = backbone.fusions["2"].get_submodule("resamples.0.narrow.0")
    assert isinstance(narrow, torch.nn.Conv2d)
    assert (narrow.in_channels, narrow.out_channels) == (4 * 64, 32)


def test_widths_are_truncated_not_rounded() -> None:
    # The published checkpoint of SpineNet-49S has 41, 83 and 166 at 0.65.
    scale = ModelScale(width_multiplier=0.65)
    assert [scale.block_width(level) for level in (2, 3, 4)] == [41, 83, 166]


def test_normalisation_is_separate_for_each_level_and_convolutions_are_shared() -> None:
    network = spinenet_detector(published_spec("spinenet-49"), TINY, num_classes=3)
    assert len(network.class_tower.convs) == 1
    assert len(network.class_tower.norms) == 5


def test_every_class_starts_at_the_prior() -> None:
    network = spinenet_detector(published_spec("spinenet-49"), TINY, num_classes=3).eval()
    raw = network(torch.zeros(1, 3, 64, 64))
    num_locations = 64 + 16 + 4 + 1 + 1
    assert raw.class_logits.shape == (1, NUM_ANCHORS_PER_LOCATION * num_locations, 3)
    assert raw.box_codes.shape == (1, NUM_ANCHORS_PER_LOCATION * num_locations, 4)
    assert torch.allclose(raw.class_logits.sigmoid(), torch.tensor(PRIOR_PROBABILITY), atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (5, 1), (1, 2), (2, 2)])
def test_bfloat16_gradients_of_tiny_features_are_right(size: tuple[int, int]) -> None:
    # torch 2.15 on a CPU with AVX512-BF16 reads memory that it never wrote for widths of one; fill the heap with NaN so
    # that it shows.
    torch.manual_seed(0)
    layer = ConvNorm(16, 16, 3, RELU, stride=2, activate=False).to(memory_format=torch.channels_last).eval()
    x = torch.randn(8, 16, *size).contiguous(memory_format=torch.channels_last)
    gradients = []
    for enabled in (False, True):
        dirt = [
            torch.full((n,), math.nan, dtype=torch.bfloat16) for n in (64, 512, 4096, 20_000, 100_000) for _ in range(8)
        ]
        del dirt
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = layer(x)
        (out.float() * torch.linspace(-1, 1, out.numel()).reshape(out.shape)).sum().backward()
        weight = next(layer.parameters())
        assert weight.grad is not None
        gradients.append(weight.grad.clone())
    # bfloat16 has three decimal digits; the gradient is a sum of some ten products of such numbers.
    assert torch.allclose(gradients[0], gradients[1], atol=0.05 * gradients[0].abs().max().item())
