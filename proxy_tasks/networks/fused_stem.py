"""A network's first layer on GPUs: a strided convolution of three channels, with the pool that may follow it.

Three channels do not fill a tensor core, and its result is the largest feature of the network. So 2 by 2 pixels are
read as one of twelve channels, which makes the convolution one without stride; and the pool reads what it needs
straight from the convolution, so that the normalised feature is never written.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxy_tasks.networks.fused_norm import can_fuse, fused_norm, fused_norm_and_pool
from proxy_tasks.networks.gpu_operators import add_operator

CHANNELS = 16
"""Channels of a folded image: four pixels of three values, and zeros, as tensor cores take eight at a time."""


def can_fuse_stem(conv: nn.Module, norm: nn.Module, images: Tensor) -> bool:
    """Return whether `fused_stem` can stand for a convolution and what follows it."""
    if not isinstance(conv, nn.Conv2d) or not can_fuse(norm, images):
        return False
    padding = conv.kernel_size[0] // 2
    return (
        not images.requires_grad
        and conv.bias is None
        and (conv.in_channels, conv.groups, conv.dilation, conv.padding_mode) == (3, 1, (1, 1), "zeros")
        and conv.stride == (2, 2)
        and conv.kernel_size[0] == conv.kernel_size[1]
        and conv.padding == (padding, padding)
        and padding % 2 == 1
        and images.shape[2] % 4 == 0
        and images.shape[3] % 4 == 0
    )


def fused_stem(conv: nn.Conv2d, norm: nn.BatchNorm2d, images: Tensor, *, activation: str, pools: bool) -> Tensor:
    """Return the activated and, where asked for, max-pooled feature of images that `can_fuse_stem`.

    Args:
        conv: an odd kernel with stride two, padded alike on both sides.
        norm: the batch normalisation after it.
        images: (B, 3, H, W), of sizes that four divides.
        activation: `relu` or `silu`.
        pools: whether windows of three pixels are pooled at every second pixel.
    """
    half = conv.kernel_size[0] // 2
    num_taps, num_before = half + 1, (half + 1) // 2
    num_after = num_taps - 1 - num_before
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else conv.weight.dtype
    folded = _fold_pixels(images, num_before, num_after, dtype)
    x = F.conv2d(folded, folded_kernel(conv.weight, num_taps))  # (B, C, H / 2, W / 2)
    return fused_norm_and_pool(norm, x, activation) if pools else fused_norm(norm, x, activation=activation)


def folded_kernel(weight: Tensor, num_taps: int) -> Tensor:
    """Return the (C, 16, T, T) kernel that reads a folded image as `weight`, (C, 3, 2 T - 1, 2 T - 1), the image."""
    c_out = len(weight)
    even = F.pad(weight, (1, 0, 1, 0))  # (C, 3, 2 T, 2 T)
    split = even.reshape(c_out, 3, num_taps, 2, num_taps, 2)
    folded = split.permute(0, 3, 5, 1, 2, 4).reshape(c_out, 12, num_taps, num_taps)
    padded = F.pad(folded, (0, 0, 0, 0, 0, CHANNELS - 12))
    return padded.contiguous(memory_format=torch.channels_last)


def empty_folded(images: Tensor, num_before: int, num_after: int, dtype: torch.dtype) -> Tensor:
    """Return memory for folded images; see `stem_kernels`."""
    num_images, _, height, width = images.shape
    around = num_before + num_after
    shape = (num_images, CHANNELS, height // 2 + around, width // 2 + around)
    return torch.empty(shape, dtype=dtype, device=images.device, memory_format=torch.channels_last)


_fold_pixels = add_operator(
    "fold_pixels(Tensor images, int num_before, int num_after, ScalarType dtype) -> Tensor",
    "proxy_tasks.networks.stem_kernels.fold_pixels",
    empty_folded,
)
