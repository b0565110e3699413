"""The smallest parts of the networks: convolution with normalisation, and pooling that pads as TensorFlow does."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# tensorflow/models trains SpineNet with batch-norm momentum 0.99 and epsilon 1e-3; PyTorch's momentum is 1 - 0.99.
NORM_MOMENTUM = 0.01
NORM_EPSILON = 1e-3
# A normal distribution cut at two deviations has this deviation left, so TensorFlow divides by it.
_TRUNCATED_STD = 0.87962566103423978


def activation(name: str) -> nn.Module:
    """Return a new activation layer, `relu` or `silu`."""
    return nn.ReLU(inplace=True) if name == "relu" else nn.SiLU(inplace=True)


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch normalisation and, if named, an activation.

    Padding is symmetric, `kernel_size // 2`. Weights start from TensorFlow's default in the reference: variance
    scaling over the fan-in, truncated at two deviations; no normalisation starts at zero.

    Source: tensorflow/tpu nn_ops.py conv2d_fixed_padding.
    """

    def __init__(self, c_in: int, c_out: int, kernel_size: int, stride: int = 1, act: str | None = None) -> None:
        conv = nn.Conv2d(c_in, c_out, kernel_size, stride, padding=kernel_size // 2, bias=False)
        std = math.sqrt(1 / (c_in * kernel_size**2)) / _TRUNCATED_STD
        nn.init.trunc_normal_(conv.weight, std=std, a=-2 * std, b=2 * std)
        norm = nn.BatchNorm2d(c_out, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)
        super().__init__(conv, norm, *([activation(act)] if act else []))
        self._is_strided = stride > 1

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, c_out, H / stride, W / stride)."""
        if self._is_strided and x.shape[-1] == 1 and x.device.type == "cpu":
            # On CPUs torch 2.15 computes the bfloat16 weight gradient of a strided convolution of one-pixel-wide inputs
            # from memory that it never wrote: now and then not a number.
            with torch.autocast("cpu", enabled=False):
                return _forward(self, x.float())
        return _forward(self, x)


def _forward(layers: nn.Sequential, x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def same_max_pool(x: Tensor, kernel_size: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Max-pool (B, C, H, W) to ceil(H / stride), ceil(W / stride) where TensorFlow's SAME puts the windows.

    SAME pads the smaller half before and the larger half after the image. On even sizes kernel 3 with stride 2 pads
    nothing before; PyTorch's usual `padding=1` would shift every window by one pixel.
    """
    before = [
        max((math.ceil(size / s) - 1) * s + k - size, 0) // 2
        for size, k, s in zip(x.shape[-2:], kernel_size, stride, strict=True)
    ]
    # ceil_mode supplies the padding after the image, but no window that would start there.
    return F.max_pool2d(x, kernel_size, stride, padding=before, ceil_mode=True)
