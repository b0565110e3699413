"""Triton kernel of a network's first convolution: pixels of an image put together to where it can read many at once."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from proxy_tasks.networks.fused_stem import CHANNELS, empty_folded

_PIXELS_A_PROGRAM = 256


def fold_pixels(images: Tensor, num_before: int, num_after: int, dtype: torch.dtype) -> Tensor:
    """Return 2 by 2 pixels of each image as one of 12 channels: row and column in the four, then colour.

    Args:
        images: (B, 3, H, W) of even sizes.
        num_before: zero pixels before the first in the result, along each axis.
        num_after: the same after the last.
        dtype: of the result.

    Returns:
        (B, 16, num_before + H / 2 + num_after, the same of W) in channels-last layout.
    """
    out = empty_folded(images, num_before, num_after, dtype)
    num_images, _, height, width = out.shape
    num_pixels = num_images * height * width
    _fold[(triton.cdiv(num_pixels, _PIXELS_A_PROGRAM),)](
        images,
        out,
        num_pixels,
        height,
        width,
        images.shape[2],
        images.shape[3],
        num_before,
        *images.stride(),
        PIXELS=_PIXELS_A_PROGRAM,
        CHANNELS=CHANNELS,
    )
    return out


@triton.jit
def _fold(
    images,
    out,
    num_pixels,
    height,
    width,
    image_height,
    image_width,
    num_before,
    stride_image,
    stride_colour,
    stride_row,
    stride_column,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Gather the twelve values of each pixel."""
    pixel = tl.program_id(0).to(tl.int64) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.arange(0, CHANNELS)
    x = (pixel % width - num_before)[:, None] * 2 + (channel // 3 % 2)[None, :]
    y = (pixel // width % height - num_before)[:, None] * 2 + (channel // 6)[None, :]
    image = pixel // (width * height)

    is_read = (pixel < num_pixels)[:, None] & (channel < 12)[None, :]
    is_read = is_read & (x >= 0) & (y >= 0) & (x < image_width) & (y < image_height)
    place = (
        (image * stride_image)[:, None] + (channel % 3 * stride_colour)[None, :] + y * stride_row + x * stride_column
    )
    value = tl.load(images + place, mask=is_read, other=0.0)
    written = pixel[:, None] * CHANNELS + channel[None, :]
    tl.store(out + written, value.to(out.dtype.element_ty), mask=(pixel < num_pixels)[:, None])
