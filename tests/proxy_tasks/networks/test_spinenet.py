import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_tasks.networks.layers import ConvNorm, LayerStyle, Reference, same_max_pool
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.networks.resample import Resample
from proxy_tasks.networks.retinanet import NUM_ANCHORS_PER_LOCATION, RetinaNet
from proxy_tasks.networks.spinenet import SpineNet
from search_space import ArchSpec, BlockSpec, ModelScale, ScalePermutedSpace, StemBlock, published_spec, resnet_seed

TINY = ModelScale(width_multiplier=0.0625, resample_alpha=0.5, endpoint_width=8, num_head_convs=1, head_width=8)
RELU = LayerStyle("relu")
SPACES = (
    ScalePermutedSpace(resnet_seed("r0-sp53")),
    ScalePermutedSpace(resnet_seed("r23-sp30")),
    ScalePermutedSpace(resnet_seed("r14-sp39"), kinds=("residual",)),
    ScalePermutedSpace(resnet_seed("r35-sp18")),
    ScalePermutedSpace(published_spec("spinenet-mobile-49"), level_offsets=(), kinds=()),
)
ALL_LEVELS = (3, 4, 5, 6, 7)


@given(
    seed=st.integers(0, 2**32 - 1),
    which=st.integers(0, len(SPACES) - 1),
    repeats=st.integers(1, 2),
    levels=st.sets(st.sampled_from(ALL_LEVELS), min_size=1) | st.just(set(ALL_LEVELS)),
)
@settings(max_examples=9)
def test_every_parameter_of_a_random_spec_gets_a_gradient(
    seed: int, which: int, repeats: int, levels: set[int]
) -> None:
    space = SPACES[which]
    spec = space.decode(space.sample(np.random.default_rng(seed))).spec
    torch.manual_seed(0)
    scale = ModelScale(
        width_multiplier=0.125,
        resample_alpha=0.5,
        block_repeats=repeats,
        endpoint_width=8,
        num_head_convs=1,
        head_width=8,
        activation="silu",
    )
    network = RetinaNet(SpineNet(spec, scale, output_levels=levels), scale, num_classes=2)
    assert network.output_levels == tuple(sorted(levels))
    raw = network(torch.randn(2, 3, 128, 128))
    (raw.class_logits.sum() + raw.box_codes.sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


SIZES = ((128, 128), (64, 64), (97, 333), (224, 224), (600, 800), (33, 1))


@pytest.mark.parametrize(
    ("name", "size", "reference"),
    [
        *((name, size, "tpu") for name in ("spinenet-49", "r23-sp30", "spinenet-mobile-49") for size in SIZES),
        *((name, (97, 333), "model_garden") for name in ("spinenet-49", "spinenet-mobile-49")),
    ],
)
def test_endpoints_have_the_sizes_of_their_levels(name: str, size: tuple[int, int], reference: Reference) -> None:
    backbone = SpineNet(published_spec(name), replace(TINY, width_multiplier=0.125), reference).eval()
    with torch.no_grad():
        endpoints = backbone(torch.zeros(1, 3, *size))
    expected = [(1, 8, math.ceil(size[0] / 2**level), math.ceil(size[1] / 2**level)) for level in (3, 4, 5, 6, 7)]
    assert [tuple(endpoint.shape) for endpoint in endpoints] == expected


def test_features_of_sizes_that_do_not_divide_are_resized_to_the_nearest() -> None:
    # Level 3 of 97 px is 13, level 4 is 7: 13 rows come from 7 by row floor(i * 7 / 13).
    torch.manual_seed(0)
    module = Resample(4, 8, -1, RELU).eval()
    x = torch.randn(1, 4, 7, 21)
    rows, columns = torch.arange(13) * 7 // 13, torch.arange(42) * 21 // 42
    expected = module.project(x[:, :, rows][..., columns])
    assert torch.allclose(module(x, (13, 42)), expected, atol=1e-6)


@pytest.mark.parametrize(("levels_down", "size"), [(1, 64), (2, 64), (4, 64), (2, 62), (3, 61)])
def test_model_garden_pads_after_the_image_and_pools_by_two(levels_down: int, size: int) -> None:
    torch.manual_seed(0)
    module = Resample(4, 8, levels_down, LayerStyle("relu", "model_garden")).eval()
    x = mid = torch.randn(1, 4, size, size).relu()
    assert module.halve is not None
    kernel = module.halve[0].weight
    assert isinstance(kernel, torch.Tensor)
    # TensorFlow's SAME with kernel 3 and stride 2: an even size is padded by one pixel at the end, an odd one at both.
    before = size % 2
    mid = F.conv2d(F.pad(mid, (before, 1, before, 1)), kernel, stride=2)
    mid = module.halve[2](module.halve[1](mid))
    for _ in range(levels_down - 1):
        before = mid.shape[-1] % 2
        mid = F.max_pool2d(F.pad(mid, (before, 1, before, 1), value=-math.inf), 3, 2)
    goal = math.ceil(size / 2**levels_down)
    assert mid.shape[-1] == goal
    assert torch.allclose(module(x, (goal, goal)), module.project(mid), atol=1e-6)


@pytest.mark.parametrize(("activation", "is_training"), [("silu", True), ("silu", False), ("relu", False)])
def test_the_gradient_is_that_of_the_function(activation: Literal["relu", "silu"], is_training: bool) -> None:
    # Sums and activations run in place: against finite differences in float64. Batch statistics of a ReLU network bend
    # too sharply for those.
    torch.manual_seed(0)
    spec = published_spec("spinenet-49")
    backbone = SpineNet(spec, replace(TINY, activation=activation)).double().train(is_training)
    images = torch.randn(4, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    direction = torch.randn_like(images)

    def value(step: float) -> torch.Tensor:
        return sum((x.square().sum() for x in backbone(images + step * direction)), torch.zeros(()))

    value(0.0).backward()  # type: ignore[no-untyped-call]  # torch leaves it so
    assert images.grad is not None
    with torch.no_grad():
        slope = (value(1e-8) - value(-1e-8)) / 2e-8
    assert float((images.grad * direction).sum()) == pytest.approx(float(slope), rel=1e-5)


def test_outputs_that_are_not_asked_for_are_not_built() -> None:
    spec = published_spec("spinenet-49")
    backbone = SpineNet(spec, TINY, output_levels=(3, 4))
    # Block 13 (level 3) reads 4 and 10; block 12 (level 4) reads 5 and 10; 11 is left over for level 5 only.
    assert set(backbone.blocks) == {"2", "3", "4", "5", "6", "7", "8", "9", "10", "12", "13"}
    assert set(backbone.endpoints) == {"12", "13"}
    assert [x.shape[-1] for x in backbone.eval()(torch.zeros(1, 3, 128, 128))] == [16, 8]
    with pytest.raises(ValueError, match=r"outputs have the levels \[3, 4, 5, 6, 7\], asked for are \[2, 3\]"):
        SpineNet(spec, TINY, output_levels=(2, 3))
    with pytest.raises(ValueError, match=r"asked for are \[\]"):
        SpineNet(spec, TINY, output_levels=())


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
    module = Resample(4, 8, 2, RELU)
    assert module(torch.zeros(1, 4, source, source), (target, target)).shape == (1, 8, target, target)
    assert pools == ([] if stride is None else [((kernel, kernel), (stride, stride))])


def test_width_inside_a_resampling_comes_from_the_3x3_convolutions() -> None:
    # alpha * C of the parent, not alpha * 4C: the mistake of several ports.
    spec = ArchSpec((StemBlock(2), StemBlock(2)), (BlockSpec(3, "bottleneck", (0, 1), True),))
    backbone = SpineNet(spec, ModelScale(resample_alpha=0.5))
    narrow = backbone.narrows["0"].get_submodule("0")
    assert isinstance(narrow, torch.nn.Conv2d)
    assert (narrow.in_channels, narrow.out_channels) == (4 * 64, 32)


@pytest.mark.parametrize(("name", "norm"), [("spinenet-49", 0.85062820), ("spinenet-mobile-49", 0.82933053)])
def test_a_seed_gives_the_network_that_it_gave_before_layers_were_joined(name: str, norm: float) -> None:
    # The norms come from the code in which every child had a narrow layer, and each tower a first convolution, of its
    # own. Initial weights are float32, whose last digits differ between processors.
    torch.manual_seed(0)
    scale = ModelScale(width_multiplier=0.25, endpoint_width=8, num_head_convs=2, head_width=8)
    network = build_detector(published_spec(name), scale, num_classes=3).double()
    raw = network(torch.randn(2, 3, 128, 128, dtype=torch.float64))

    # Every output and every gradient takes part with a weight of its own.
    classes, boxes = raw.class_logits.flatten(), raw.box_codes.flatten()
    loss = (classes * torch.linspace(-1, 1, len(classes))).mean() + (boxes * torch.linspace(1, 3, len(boxes))).mean()
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    assert torch.cat([gradient.flatten() for gradient in gradients]).norm().item() == pytest.approx(norm, rel=1e-4)


def test_widths_are_truncated_not_rounded() -> None:
    # The published checkpoint of SpineNet-49S has 41, 83 and 166 at 0.65.
    scale = ModelScale(width_multiplier=0.65)
    assert [scale.block_width(level) for level in (2, 3, 4)] == [41, 83, 166]


def test_normalisation_is_separate_for_each_level_and_convolutions_are_shared() -> None:
    network = build_detector(published_spec("spinenet-49"), TINY, num_classes=3)
    assert len(list(network.class_tower.get_submodule("shared.convs").children())) == 1
    assert len(list(network.class_tower.get_submodule("shared.norms").children())) == 5


def test_every_class_starts_at_the_prior() -> None:
    network = build_detector(published_spec("spinenet-49"), TINY, num_classes=3).eval()
    raw = network(torch.zeros(1, 3, 64, 64))
    num_locations = 64 + 16 + 4 + 1 + 1
    assert raw.class_logits.shape == (1, NUM_ANCHORS_PER_LOCATION * num_locations, 3)
    assert raw.box_codes.shape == (1, NUM_ANCHORS_PER_LOCATION * num_locations, 4)
    # RetinaNet (arXiv 1708.02002), section 4.1.
    assert torch.allclose(raw.class_logits.sigmoid(), torch.tensor(0.01), atol=1e-4)


def test_kernels_of_the_head_start_at_the_deviations_of_the_reference() -> None:
    # tensorflow/tpu heads.py RetinanetHead: 0.01, but 1e-5 for the two predictions.
    torch.manual_seed(0)
    network = build_detector(published_spec("spinenet-49"), TINY, num_classes=3)
    for tower in (network.class_tower, network.box_tower):
        stds = {key: p.std().item() for key, p in tower.named_parameters() if p.ndim == 4}
        assert stds.pop("predict.weight") == pytest.approx(1e-5, rel=0.1)
        assert list(stds.values()) == pytest.approx([0.01] * len(stds), rel=0.1)


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


def test_any_normalisation_may_take_the_place_of_batch_normalisation() -> None:
    network = SpineNet(published_spec("r0-sp53"), ModelScale(width_multiplier=0.125, endpoint_width=8))
    network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network).eval()  # type: ignore[no-untyped-call]  # torch leaves it so
    assert len(network(torch.randn(1, 3, 64, 64))) == 5
