"""What one block of a spec becomes: a chain of bottleneck, residual or inverted bottleneck units."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from proxy_tasks.networks.layers import Activation, ConvNorm, LayerStyle, init_kernel
from search_space import BlockKind

BOTTLENECK_EXPANSION = 4
MBCONV_EXPANSION = 6
EXCITATION_RATIO = 0.2


def output_channels(kind: BlockKind, width: int) -> int:
    """Return the channels that a block reads and writes, given `ModelScale.block_width`."""
    return width * BOTTLENECK_EXPANSION if kind == "bottleneck" else width


class Unit(nn.Module):
    """One post-activation ResNet unit: `act(branch(x) + shortcut(x))`.

    The shortcut is a 1x1 projection only where channels or size change; the stride is on the first 3x3 convolution.

    Args:
        kind: `bottleneck` or `residual`.
        c_in: channels read.
        width: channels of the 3x3 convolutions.
        stride: in pixels.
        style: activation and reference.
        skip_rate: share of samples that skip the branch in training; the others' branch is scaled up by 1 / (1 - rate).

    Source: SpineNet (arXiv 1912.05027), section 3.3; tensorflow/tpu nn_blocks.py.
    """

    def __init__(
        self, kind: BlockKind, c_in: int, width: int, stride: int, style: LayerStyle, skip_rate: float
    ) -> None:
        super().__init__()
        c_out = output_channels(kind, width)
        if kind == "bottleneck":
            self.branch = nn.Sequential(
                ConvNorm(c_in, width, 1, style),
                ConvNorm(width, width, 3, style, stride=stride),
                ConvNorm(width, c_out, 1, style, activate=False),
            )
        else:
            self.branch = nn.Sequential(
                ConvNorm(c_in, width, 3, style, stride=stride), ConvNorm(width, width, 3, style, activate=False)
            )
        needs_projection = c_in != c_out or stride != 1
        self.projection = (
            ConvNorm(c_in, c_out, 1, style, stride=stride, activate=False) if needs_projection else nn.Identity()
        )
        self.skip = StochasticDepth(skip_rate, "row") if skip_rate else nn.Identity()
        self.act = Activation(style.activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C', H / stride, W / stride)."""
        out: Tensor = self.skip(self.branch(x))
        out += self.projection(x)
        activated: Tensor = self.act(out)
        return activated


class MBConvUnit(nn.Module):
    """One inverted bottleneck with squeeze-and-excitation: wide inside, narrow and linear at both ends.

    The shortcut exists only where neither channels nor size change.

    Args:
        c_in: channels read.
        c_out: channels returned.
        stride: in pixels, of the depthwise convolution.
        style: activation and reference.
        skip_rate: as in `Unit`.

    Source: MobileNetV2 (arXiv 1801.04381), MnasNet (arXiv 1807.11626); tensorflow/tpu nn_blocks.py mbconv_block.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, style: LayerStyle, skip_rate: float) -> None:
        super().__init__()
        c_mid = c_in * MBCONV_EXPANSION
        self.branch = nn.Sequential(
            ConvNorm(c_in, c_mid, 1, style),
            ConvNorm(c_mid, c_mid, 3, style, stride=stride, depthwise=True),
            SqueezeExcitation(c_mid, max(1, int(c_in * EXCITATION_RATIO)), style),
            ConvNorm(c_mid, c_out, 1, style, activate=False),
        )
        self.skip = StochasticDepth(skip_rate, "row") if skip_rate else nn.Identity()
        self._has_shortcut = c_in == c_out and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, c_out, H / stride, W / stride)."""
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
        mean = x.mean((2, 3), keepdim=True)
        return x * self._gate(self.expand(self._inner(self.reduce(mean))))


def _hard_sigmoid(x: Tensor) -> Tensor:
    """Return tensorflow/models' gate: a sixth is 0.16667 there."""
    return F.relu6(x + 3) * 0.16667


def block(
    kind: BlockKind,
    c_in: int,
    width: int,
    style: LayerStyle,
    *,
    stride: int = 1,
    repeats: int = 1,
    skip_rate: float = 0.0,
) -> nn.Sequential:
    """Return `repeats` units in a chain; only the first may change channels or size."""
    c_out = output_channels(kind, width)
    units: list[nn.Module] = []
    for i in range(repeats):
        unit_in, unit_stride = (c_in, stride) if i == 0 else (c_out, 1)
        if kind == "mbconv":
            units.append(MBConvUnit(unit_in, width, unit_stride, style, skip_rate))
        else:
            units.append(Unit(kind, unit_in, width, unit_stride, style, skip_rate))
    return nn.Sequential(*units)
