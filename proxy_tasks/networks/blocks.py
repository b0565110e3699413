"""The blocks of a network: chains of bottleneck, residual or inverted bottleneck units, or of units from outside."""

from collections.abc import Callable
from importlib import import_module

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxy_tasks.networks.gpu_operators import are_fused
from proxy_tasks.networks.layers import Activation, ConvNorm, LayerStyle, init_kernel
from proxy_tasks.networks.stochastic_depth import StochasticDepth
from search_space import BlockKind, kind_named
from search_space.kinds import BOTTLENECK

MBCONV_EXPANSION = 6
"""Channels inside an inverted bottleneck, for each that it reads."""
EXCITATION_RATIO = 0.2
"""Channels in the middle of squeeze-and-excitation, for each that the block reads."""


class BottleneckUnit(nn.Module):
    """One post-activation ResNet unit of three convolutions: `act(branch(x) + shortcut(x))`.

    The shortcut is a 1x1 projection only where channels or size change; the stride is on the 3x3 convolution.

    Args:
        c_in: channels read.
        width: channels of the 3x3 convolution; a quarter of those returned.
        stride: in pixels.
        style: activation and reference.
        skip_rate: share of samples that skip the branch in training; the others' branch is scaled up by 1 / (1 - rate).

    Source: SpineNet (arXiv 1912.05027), section 3.3; tensorflow/tpu nn_blocks.py.
    """

    def __init__(self, c_in: int, width: int, stride: int, style: LayerStyle, skip_rate: float) -> None:
        super().__init__()
        c_out = BOTTLENECK.expansion * width
        self.branch = nn.Sequential(
            ConvNorm(c_in, width, 1, style),
            ConvNorm(width, width, 3, style, stride=stride),
            ConvNorm(width, c_out, 1, style, activate=False),
        )
        self.projection = _projection(c_in, c_out, stride, style)
        self.skip = _skip(skip_rate)
        self.act = Activation(style.activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 4 * width, H / stride, W / stride)."""
        return _activated_sum(self, x)


class ResidualUnit(nn.Module):
    """One post-activation ResNet unit of two 3x3 convolutions, the stride on the first; see `BottleneckUnit`."""

    def __init__(self, c_in: int, width: int, stride: int, style: LayerStyle, skip_rate: float) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            ConvNorm(c_in, width, 3, style, stride=stride), ConvNorm(width, width, 3, style, activate=False)
        )
        self.projection = _projection(c_in, width, stride, style)
        self.skip = _skip(skip_rate)
        self.act = Activation(style.activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, H / stride, W / stride)."""
        return _activated_sum(self, x)


def _activated_sum(unit: BottleneckUnit | ResidualUnit, x: Tensor) -> Tensor:
    """Return `act(skip(branch(x)) + projection(x))`."""
    shortcut = unit.projection(x)
    *first, last = unit.branch.children()

    # On a GPU the last layer takes the sum in, which spares two passes over the feature.
    if are_fused(x) and isinstance(last, ConvNorm) and not isinstance(unit.skip, StochasticDepth):
        for layer in first:
            x = layer(x)
        return last(x, plus=shortcut, act=unit.act)  # type: ignore[no-any-return]  # it is a Tensor

    out: Tensor = unit.skip(unit.branch(x))
    out += shortcut
    activated: Tensor = unit.act(out)
    return activated


class MBConvUnit(nn.Module):
    """One inverted bottleneck with squeeze-and-excitation: wide inside, narrow and linear at both ends.

    The shortcut exists only where neither channels nor size change.

    Args:
        c_in: channels read.
        width: channels returned.
        stride: in pixels, of the depthwise convolution.
        style: activation and reference.
        skip_rate: see `BottleneckUnit`.

    Source: MobileNetV2 (arXiv 1801.04381), MnasNet (arXiv 1807.11626); tensorflow/tpu nn_blocks.py mbconv_block.
    """

    def __init__(self, c_in: int, width: int, stride: int, style: LayerStyle, skip_rate: float) -> None:
        super().__init__()
        c_mid = c_in * MBCONV_EXPANSION
        self.branch = nn.Sequential(
            ConvNorm(c_in, c_mid, 1, style),
            ConvNorm(c_mid, c_mid, 3, style, stride=stride, depthwise=True),
            SqueezeExcitation(c_mid, max(1, int(c_in * EXCITATION_RATIO)), style),
            ConvNorm(c_mid, width, 1, style, activate=False),
        )
        self.skip = _skip(skip_rate)
        self._has_shortcut = c_in == width and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, H / stride, W / stride)."""
        out: Tensor = self.branch(x)
        return self.skip(out).add_(x) if self._has_shortcut else out


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate in [0, 1] that the mean of all channels decides.

    Args:
        channels: read and returned.
        c_mid: width in the middle.
        style: the reference decides: SiLU and a sigmoid gate, or ReLU and a piecewise linear gate.

    Source: Squeeze-and-Excitation Networks (arXiv 1709.01507); tensorflow/tpu nn_ops.py squeeze_excitation.
    """

    def __init__(self, channels: int, c_mid: int, style: LayerStyle) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, c_mid, 1)
        self.expand = nn.Conv2d(c_mid, channels, 1)
        for conv in (self.reduce, self.expand):
            init_kernel(conv)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

        is_garden = style.reference == "model_garden"
        self._inner: Callable[[Tensor], Tensor] = F.relu if is_garden else F.silu
        self._gate: Callable[[Tensor], Tensor] = _hard_sigmoid if is_garden else torch.sigmoid

    def forward(self, x: Tensor) -> Tensor:
        """Return the input's shape."""
        mean = x.mean((2, 3), keepdim=True)  # (B, C, 1, 1)
        return x * self._gate(self.expand(self._inner(self.reduce(mean))))


def _hard_sigmoid(x: Tensor) -> Tensor:
    """Return tensorflow/models' gate: a sixth is 0.16667 there."""
    return F.relu6(x + 3) * 0.16667


def _projection(c_in: int, c_out: int, stride: int, style: LayerStyle) -> nn.Module:
    """Return the shortcut of a ResNet unit."""
    if c_in == c_out and stride == 1:
        return nn.Identity()
    return ConvNorm(c_in, c_out, 1, style, stride=stride, activate=False)


def _skip(rate: float) -> nn.Module:
    return StochasticDepth(rate) if rate else nn.Identity()


def output_channels(kind: str, width: int) -> int:
    """Return the channels that a block reads and writes, given `ModelScale.block_width`."""
    return width * kind_named(kind).expansion


def block(
    kind: str,
    c_in: int,
    width: int,
    style: LayerStyle,
    *,
    stride: int = 1,
    repeats: int = 1,
    skip_rate: float = 0.0,
) -> nn.Sequential:
    """Return `repeats` units of a kind in a chain; only the first may change channels or size.

    Raises:
        ValueError: an unknown kind, or one whose unit cannot be imported.
    """
    unit = _unit_class(kind_named(kind))
    c_out = output_channels(kind, width)

    units = [unit(c_in, width, stride, style, skip_rate)]
    for _ in range(repeats - 1):
        units.append(unit(c_out, width, 1, style, skip_rate))
    return nn.Sequential(*units)


def _unit_class(kind: BlockKind) -> Callable[[int, int, int, LayerStyle, float], nn.Module]:
    """Return the class that the table names as the kind's unit."""
    module, _, name = kind.unit.rpartition(".")
    try:
        unit = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"kind {kind.name}: cannot import its unit {kind.unit}: {error}") from error

    if not (isinstance(unit, type) and issubclass(unit, nn.Module)):
        raise ValueError(f"kind {kind.name}: its unit {kind.unit} is no nn.Module")
    return unit
