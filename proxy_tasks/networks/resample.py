"""Resampling: it gives parents' features the size and channels of their child, and adds them."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from proxy_tasks.networks.layers import Activation, ConvNorm, LayerStyle, same_max_pool


class Resample(nn.Module):
    """Bring a parent feature, narrowed to `c_mid` channels, to a child's resolution and channels.

    If the child is coarser a 3x3 stride-2 convolution and, beyond a factor of two, one max pool; if it is finer
    nearest-neighbour upsampling; at last a 1x1 convolution to `c_out` with no activation. The 1x1 convolution before,
    which narrows the parent, is not part of it: all children of a parent share its work, see `joined`. Parents of the
    child's own level pass through both 1x1 convolutions too.

    Args:
        c_mid: channels in the middle: alpha times the width of the parent's 3x3 convolutions.
        c_out: channels that the child reads.
        levels_down: how many levels coarser the child is; 0 or less where it is not.
        style: activation, and whether one pool follows (`tpu`) or a chain of pools by two (`model_garden`).

    Source: SpineNet (arXiv 1912.05027), section 3.2 and figure 5; tensorflow/tpu resample_with_alpha.
    Differs: whether to convolve with stride is decided by level, where the reference compares widths in pixels; they
    disagree only for images so small that two levels have the same size. Height and width are treated on their own.
    """

    def __init__(self, c_mid: int, c_out: int, levels_down: int, style: LayerStyle) -> None:
        super().__init__()
        self.halve = ConvNorm(c_mid, c_mid, 3, style, stride=2) if levels_down > 0 else None
        self.project = ConvNorm(c_mid, c_out, 1, style, activate=False)
        self._num_chained_pools = max(levels_down - 1, 0) if style.reference == "model_garden" else None

    def forward(
        self, x: Tensor, size: tuple[int, int], *, plus: Tensor | None = None, act: Activation | None = None
    ) -> Tensor:
        """Return (B, c_out, *size) from (B, c_mid, H, W); `plus` and `act` as in `ConvNorm`."""
        out: Tensor = self.project(self.resized(x, size), plus=plus, act=act)
        return out

    def resized(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Return (B, c_mid, *size), what the last convolution reads."""
        height, width = x.shape[-2:]
        if self.halve is not None:
            x = self.halve(x)  # (B, c_mid, H / 2, W / 2)
            if self._num_chained_pools is not None:
                for _ in range(self._num_chained_pools):
                    x = same_max_pool(x, (3, 3), (2, 2))
            elif max(height // size[0], width // size[1]) > 2:
                x = same_max_pool(x, *_pool_shape((height, width), size))

        return _nearest(x, size)


class SeparableResample(nn.Module):
    """Bring a parent feature to a child's resolution and channels in a network of `mbconv` blocks.

    If the child is coarser, a 3x3 depthwise stride-2 convolution for each level between; if it is finer
    nearest-neighbour upsampling; then a 1x1 convolution with no activation.

    Source: SpineNet (arXiv 1912.05027), appendix A; tensorflow/tpu spinenet_mbconv.py resample_with_sepconv.
    Differs: sizes that do not divide are resized to the nearest, where the reference refuses them.
    """

    def __init__(self, c_in: int, c_out: int, levels_down: int, style: LayerStyle) -> None:
        super().__init__()
        self.halvings = nn.Sequential(
            *(ConvNorm(c_in, c_in, 3, style, stride=2, depthwise=True) for _ in range(levels_down))
        )
        self.project = ConvNorm(c_in, c_out, 1, style, activate=False)

    def forward(
        self, x: Tensor, size: tuple[int, int], *, plus: Tensor | None = None, act: Activation | None = None
    ) -> Tensor:
        """Return (B, c_out, *size) from (B, c_in, H, W); `plus` and `act` as in `ConvNorm`."""
        out: Tensor = self.project(self.resized(x, size), plus=plus, act=act)
        return out

    def resized(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Return (B, c_in, *size), what the last convolution reads."""
        return _nearest(self.halvings(x), size)


class Fusion(nn.Module):
    """The sum of all parents of one block, each resampled to it."""

    def __init__(self, resamples: Sequence[Resample | SeparableResample]) -> None:
        super().__init__()
        self.resamples = nn.ModuleList(resamples)

    def forward(self, parents: Sequence[Tensor], size: tuple[int, int], act: Activation | None = None) -> Tensor:
        """Return (B, C, *size), a fresh tensor, activated where an activation is given."""
        *others, (last, parent_of_last) = zip(self.resamples, parents, strict=True)
        total: Tensor | None = None
        for resample, parent in others:
            total = resample(parent, size, plus=total)

        out: Tensor = last(parent_of_last, size, plus=total, act=act)
        return out


def _nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (B, C, *size), each pixel that of the nearest in (B, C, H, W)."""
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="nearest")


def _pool_shape(source: tuple[int, int], target: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return kernel and stride of the pool that follows a stride-2 convolution.

    Kernel 3 up to a ratio of four, 5 beyond. Where the ratio is not whole the stride is 2 and the caller resizes.
    """
    kernels, strides = [], []
    for size, goal in zip(source, target, strict=True):
        if size // goal <= 2:
            # The convolution alone has done it along this axis.
            kernels.append(1)
            strides.append(1)
        else:
            kernels.append(3 if size <= 4 * goal else 5)
            strides.append(size // goal // 2 if size % goal == 0 else 2)
    return (kernels[0], kernels[1]), (strides[0], strides[1])
