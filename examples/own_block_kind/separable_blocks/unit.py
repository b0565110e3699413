"""The layers of a separable block."""

from torch import Tensor, nn

from proxy_tasks.networks.layers import ConvNorm, LayerStyle


class SeparableUnit(nn.Module):
    """Maps (B, c_in, H, W) to (B, width, ceil(H / stride), ceil(W / stride)).

    Args:
        c_in: channels read.
        width: channels given.
        stride: in pixels.
        style: normalisation and activation of the network.
        skip_rate: share of samples that skip the unit in training; a unit without a shortcut skips none.
    """

    def __init__(self, c_in: int, width: int, stride: int, style: LayerStyle, skip_rate: float) -> None:
        super().__init__()
        self.depthwise = ConvNorm(c_in, c_in, 3, style, stride=stride, depthwise=True)
        self.pointwise = ConvNorm(c_in, width, 1, style)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features."""
        found: Tensor = self.pointwise(self.depthwise(x))
        return found
