"""What one block of a spec becomes: a chain of bottleneck or residual units."""

import torch.nn.functional as F
from torch import Tensor, nn

from proxy_tasks.networks.layers import ConvNorm
from search_space import BlockKind

BOTTLENECK_EXPANSION = 4


def output_channels(kind: BlockKind, width: int) -> int:
    """Return the channels that a block reads and writes, for 3x3 convolutions `width` wide."""
    return width * BOTTLENECK_EXPANSION if kind == "bottleneck" else width


class Unit(nn.Module):
    """One post-activation ResNet unit: `act(branch(x) + shortcut(x))`.

    The shortcut is a 1x1 projection only where channels or size change; the stride is on the first 3x3 convolution.

    Source: SpineNet (arXiv 1912.05027), section 3.3; tensorflow/tpu nn_blocks.py.
    """

    def __init__(self, kind: BlockKind, c_in: int, width: int, stride: int, act: str) -> None:
        super().__init__()
        c_out = output_channels(kind, width)
        if kind == "bottleneck":
            self.branch = nn.Sequential(
                ConvNorm(c_in, width, 1, act=act),
                ConvNorm(width, width, 3, stride, act=act),
                ConvNorm(width, c_out, 1),
            )
        else:
            self.branch = nn.Sequential(ConvNorm(c_in, width, 3, stride, act=act), ConvNorm(width, width, 3))
        self.projection = ConvNorm(c_in, c_out, 1, stride) if c_in != c_out or stride != 1 else nn.Identity()
        self.activate = F.relu if act == "relu" else F.silu

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C', H / stride, W / stride)."""
        return self.activate(self.branch(x) + self.projection(x))


def block(kind: BlockKind, c_in: int, width: int, stride: int, repeats: int, act: str) -> nn.Sequential:
    """Return `repeats` units in a chain; only the first may change channels or size."""
    c_out = output_channels(kind, width)
    units = [Unit(kind, c_in, width, stride, act)]
    units += [Unit(kind, c_out, width, 1, act) for _ in range(repeats - 1)]
    return nn.Sequential(*units)
