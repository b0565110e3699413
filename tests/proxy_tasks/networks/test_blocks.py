"""What a block is made of, where other ports of SpineNet went wrong."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from proxy_tasks.networks.blocks import BottleneckUnit, MBConvUnit, ResidualUnit, SqueezeExcitation, block
from proxy_tasks.networks.layers import Activation, ConvNorm, LayerStyle
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.networks.spinenet import SpineNet
from search_space import ArchSpec, BlockSpec, ModelScale, StemBlock, published_spec

RELU, SILU = LayerStyle("relu"), LayerStyle("silu")


def test_blocks_are_post_activation_resnet_units() -> None:
    torch.manual_seed(0)
    unit = BottleneckUnit(16, 4, 1, RELU, 0.0).eval()
    x = torch.randn(2, 16, 5, 7)
    branch = x
    for layer in unit.branch:
        branch = layer(branch)
    assert torch.equal(unit(x), F.relu(branch + x))
    assert (branch < 0).any()  # no activation after the last normalisation


@pytest.mark.parametrize(
    ("kind", "c_in", "stride", "has_projection"),
    [
        ("bottleneck", 16, 1, False),
        ("bottleneck", 8, 1, True),
        ("bottleneck", 16, 2, True),
        ("residual", 4, 1, False),
        ("residual", 4, 2, True),
    ],
)
def test_only_a_change_of_channels_or_size_is_projected(
    kind: str, c_in: int, stride: int, has_projection: bool
) -> None:
    unit = block(kind, c_in, 4, RELU, stride=stride)[0]
    assert isinstance(unit, BottleneckUnit | ResidualUnit)
    assert isinstance(unit.projection, ConvNorm) == has_projection
    strides = [m.stride for m in unit.branch.modules() if isinstance(m, nn.Conv2d)]
    kernels = [m.kernel_size for m in unit.branch.modules() if isinstance(m, nn.Conv2d)]
    # The stride is on the first 3x3 convolution, not on the 1x1 before it.
    assert strides[kernels.index((3, 3))] == (stride, stride)
    assert all(s == (1, 1) for i, s in enumerate(strides) if i != kernels.index((3, 3)))


@pytest.mark.parametrize("name", ["spinenet-49", "spinenet-mobile-49", "r50-fpn"])
def test_no_normalisation_starts_at_zero(name: str) -> None:
    # Other ports start the last normalisation of each block at zero; the reference does not.
    network = build_network(name, ModelScale(width_multiplier=0.25, endpoint_width=16), head="none")
    gammas = [m.weight for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert gammas
    assert all((gamma == 1).all() for gamma in gammas)


def test_endpoints_end_in_the_activation() -> None:
    torch.manual_seed(0)
    backbone = SpineNet(published_spec("spinenet-49"), ModelScale(width_multiplier=0.0625, endpoint_width=8)).train()
    with torch.no_grad():
        endpoints = backbone(torch.randn(4, 3, 128, 128))
    # Normalised over the batch, half of the values would be below zero without the activation.
    assert all((x >= 0).all() and (x == 0).any() for x in endpoints)


def test_kernels_start_at_the_variance_of_their_fan_in() -> None:
    torch.manual_seed(0)
    conv = ConvNorm(64, 256, 3, RELU)[0]
    assert isinstance(conv, nn.Conv2d)
    fan_in = 64 * 9
    # TensorFlow's truncated normal of variance 1 / fan-in, cut at two deviations of the untruncated one.
    assert conv.weight.std().item() * fan_in**0.5 == pytest.approx(1, rel=0.05)
    assert conv.weight.abs().max().item() <= 2 / 0.8796 * fan_in**-0.5


def test_depthwise_kernels_start_as_keras_draws_them() -> None:
    torch.manual_seed(0)
    conv = ConvNorm(480, 480, 3, RELU, depthwise=True)[0]
    assert isinstance(conv, nn.Conv2d)
    # Glorot, uniform. Keras takes the kernel (3, 3, 480, 1) to have fan-in 9 * 480 and fan-out 9.
    limit = (6 / (9 * 480 + 9)) ** 0.5
    assert conv.weight.abs().max().item() == pytest.approx(limit, rel=0.01)
    assert conv.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.05)


def test_stochastic_depth_rises_from_block_to_block() -> None:
    # Rate of block i of n, counted from 1: i / n of the last one's; every copy of a block has its block's rate; the
    # stem has none (tensorflow/tpu spinenet.py get_drop_connect_rate).
    scale = ModelScale(width_multiplier=0.0625, endpoint_width=8, block_repeats=2, stochastic_depth=0.3)
    backbone = SpineNet(published_spec("spinenet-49"), scale)
    rates = [[unit.skip.p for unit in units(backbone.blocks[str(i + 2)])] for i in range(15)]
    assert rates == [[pytest.approx(0.3 * (i + 1) / 15)] * 2 for i in range(15)]
    assert all(isinstance(unit.skip, nn.Identity) for stem in backbone.stem for unit in units(stem))


def test_networks_of_equal_keys_skip_alike() -> None:
    # A block that reaches no output changes neither key nor rates, wherever it stands.
    stem = (StemBlock(2), StemBlock(2))
    dead, output = BlockSpec(3, "residual", (0, 1)), BlockSpec(4, "bottleneck", (0, 1), True)
    scale = ModelScale(width_multiplier=0.0625, endpoint_width=8, stochastic_depth=0.3)
    specs = [ArchSpec(stem, blocks) for blocks in ((dead, output), (output, dead), (output,))]
    assert len({spec.key for spec in specs}) == 1
    rates = [[u.skip.p for chain in SpineNet(spec, scale).blocks.values() for u in units(chain)] for spec in specs]
    assert rates == [[0.3]] * 3


def units(chain: nn.Module) -> list[BottleneckUnit | ResidualUnit]:
    return [unit for unit in chain.children() if isinstance(unit, BottleneckUnit | ResidualUnit)]


@pytest.mark.parametrize("kind", ["bottleneck", "residual", "mbconv"])
def test_stochastic_depth_skips_whole_samples_and_scales_the_others(kind: str) -> None:
    torch.manual_seed(0)
    unit = block(kind, 16, 16 if kind != "bottleneck" else 4, SILU, skip_rate=0.25)[0]
    assert isinstance(unit, BottleneckUnit | ResidualUnit | MBConvUnit)
    x = torch.randn(400, 16, 2, 2)
    with torch.no_grad():
        unit.train()
        branch = unit.branch(x)
        out = unit(x)
    plain = F.silu(x) if kind != "mbconv" else x
    kept = F.silu(x + branch / 0.75) if kind != "mbconv" else x + branch / 0.75
    skipped = (out - plain).abs().amax((1, 2, 3)) < 1e-6
    # 400 samples: 100 skipped in expectation, standard deviation 8.7.
    assert 65 < skipped.sum() < 135
    assert torch.allclose(out[~skipped], kept[~skipped], atol=1e-5)
    with torch.no_grad():
        everything = unit.eval()(x) - (F.silu(x + unit.branch(x)) if kind != "mbconv" else x + unit.branch(x))
    assert everything.abs().max() < 1e-6


def test_mobile_units_are_linear_at_their_ends() -> None:
    torch.manual_seed(0)
    unit = MBConvUnit(8, 8, 1, SILU, 0.0).eval()
    x = torch.randn(2, 8, 6, 6)
    kept = x.clone()
    assert torch.equal(unit(x), unit.branch(x) + kept)
    assert torch.equal(x, kept)
    widths = [(m.in_channels, m.out_channels, m.groups) for m in unit.modules() if isinstance(m, nn.Conv2d)]
    # Expansion 6; squeeze to int(0.2 * 8) channels, taken from the block's input, not from the wide middle.
    assert widths == [(8, 48, 1), (48, 48, 48), (48, 1, 1), (1, 48, 1), (48, 8, 1)]


@pytest.mark.parametrize(("c_out", "stride"), [(16, 1), (8, 2)])
def test_mobile_units_that_change_shape_have_no_shortcut(c_out: int, stride: int) -> None:
    unit = MBConvUnit(8, c_out, stride, SILU, 0.0).eval()
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(unit(x), unit.branch(x))


def test_the_gate_follows_the_reference() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 3, 3)
    gate = SqueezeExcitation(8, 2, LayerStyle("relu", "tpu"))
    inner = gate.reduce(x.mean((2, 3), keepdim=True))
    # tensorflow/tpu: SiLU inside whatever the network's activation, and a sigmoid.
    assert torch.allclose(gate(x), x * torch.sigmoid(gate.expand(F.silu(inner))))
    other = SqueezeExcitation(8, 2, LayerStyle("silu", "model_garden"))
    other.load_state_dict(gate.state_dict())
    # tensorflow/models: ReLU inside and a gate of straight pieces.
    assert torch.allclose(other(x), x * F.hardsigmoid(gate.expand(F.relu(inner))), rtol=1e-4)


@pytest.mark.parametrize("name", ["relu", "silu"])
def test_activation_in_place_keeps_the_gradient(name: str) -> None:
    x = torch.linspace(-3, 3, 13, requires_grad=True)
    plain = torch.linspace(-3, 3, 13, requires_grad=True)
    Activation(name)(x * 1).sum().backward()  # type: ignore[arg-type]  # one of the two
    getattr(F, name)(plain * 1).sum().backward()
    assert x.grad is not None
    assert plain.grad is not None
    assert torch.equal(x.grad, plain.grad)


def test_an_unknown_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="reference must be tpu or model_garden, got 'torch'"):
        SpineNet(published_spec("spinenet-49"), ModelScale(), "torch")  # type: ignore[arg-type]  # wrong on purpose


def test_what_somebody_has_put_behind_a_branch_runs_before_the_sum() -> None:
    unit = BottleneckUnit(8, 2, 1, LayerStyle("relu"), skip_rate=0.0)
    assert isinstance(unit.branch, nn.Sequential)
    unit.branch.append(nn.Threshold(float("inf"), 0.0))  # nothing of the branch is left
    x = torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(unit(x), torch.relu(x))
