"""Triton kernels of batch normalisation with an activation and a max pool, and of its gradient."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from proxy_tasks.networks.feature_grid import WARPS, Grid, activate, before_activation, channels


def apply_and_pool(
    x: Tensor, of_batch: Tensor, weight: Tensor, bias: Tensor, activation: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the largest of `activation(normalised(x))` in windows of 3 by 3 pixels at every second pixel.

    Windows begin at even pixels and end outside of the feature, as TensorFlow's SAME has them.

    Returns:
        (B, C, H / 2, W / 2) of the type of x; x where each window was largest, of that shape and type; and the number
        of that pixel in the window, uint8.
    """
    num_images, columns, height, width = x.shape
    shape = (num_images, columns, height // 2, width // 2)
    out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    chosen, winner = torch.empty_like(out), torch.empty_like(out, dtype=torch.uint8)
    grid = Grid(out)
    _apply_and_pool[grid.of_tiles](
        x,
        out,
        chosen,
        winner,
        of_batch,
        weight,
        bias,
        grid.rows,
        height,
        width,
        C=columns,
        ACTIVATION=activation,
        ROWS=grid.tile_rows,
        COLUMNS=grid.tile_columns,
        num_warps=WARPS,
    )
    return out, chosen, winner


def apply_gradient_before_pool(
    upstream: Tensor, x: Tensor, winner: Tensor, of_batch: Tensor, sums: Tensor, weight: Tensor, bias: Tensor,
    activation: int,
) -> Tensor:  # fmt: skip
    """Return the gradient of x, given that of the pooled feature."""
    _, columns, height, width = x.shape
    of_x = torch.empty_like(x)
    grid = Grid(winner)
    _apply_gradient_before_pool[grid.of_tiles](
        upstream,
        x,
        winner,
        of_x,
        of_batch,
        sums,
        weight,
        bias,
        grid.rows,
        height,
        width,
        C=columns,
        ACTIVATION=activation,
        ROWS=grid.tile_rows,
        COLUMNS=grid.tile_columns,
        num_warps=WARPS,
    )
    return of_x


@triton.jit
def _apply_and_pool(
    x,
    out,
    chosen,
    winner,
    of_batch,
    weight,
    bias,
    num_rows,
    height,
    width,
    C: tl.constexpr,
    ACTIVATION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Normalise and activate the nine pixels of each window of a tile, and keep the first of the largest."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    is_column = column < C
    is_window = row < num_rows
    mean, deviation, w, b = channels(of_batch, weight, bias, column, C)

    # The pixel that a window begins with.
    left = row % (width // 2) * 2
    line = row // (width // 2)
    top = line % (height // 2) * 2
    first = (line // (height // 2) * height + top) * width + left

    largest = tl.full((ROWS, COLUMNS), -float("inf"), tl.float32)
    of_largest = tl.zeros((ROWS, COLUMNS), tl.float32)
    number = tl.zeros((ROWS, COLUMNS), tl.int32)
    for k in tl.static_range(9):
        is_inside = is_window & (top + k // 3 < height) & (left + k % 3 < width)
        is_value = is_inside[:, None] & is_column[None, :]
        place = (first + k // 3 * width + k % 3)[:, None] * C + column[None, :]
        value = tl.load(x + place, mask=is_value, other=0.0).to(tl.float32)
        z = activate((value - mean) * (deviation * w) + b, ACTIVATION)
        # What is not a number is kept, and shows.
        is_larger = ((z > largest) | (z != z)) & is_value
        largest = tl.where(is_larger, z, largest)
        of_largest = tl.where(is_larger, value, of_largest)
        number = tl.where(is_larger, k, number)

    is_value = is_window[:, None] & is_column[None, :]
    place = row[:, None] * C + column[None, :]
    tl.store(out + place, largest.to(out.dtype.element_ty), mask=is_value)
    tl.store(chosen + place, of_largest.to(chosen.dtype.element_ty), mask=is_value)
    tl.store(winner + place, number.to(tl.uint8), mask=is_value)


@triton.jit
def _apply_gradient_before_pool(
    upstream,
    x,
    winner,
    of_x,
    of_batch,
    sums,
    weight,
    bias,
    num_windows,
    height,
    width,
    C: tl.constexpr,
    ACTIVATION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Store the gradients of the four pixels that each window of a tile begins with."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    is_column = column < C
    is_window = row < num_windows
    mean, deviation, w, b = channels(of_batch, weight, bias, column, C)
    num_rows = num_windows * 4
    of_weight = (tl.load(sums + column, mask=is_column, other=0.0) / num_rows)[None, :]
    of_bias = (tl.load(sums + C + column, mask=is_column, other=0.0) / num_rows)[None, :]

    windows_a_line = width // 2
    left = row % windows_a_line
    line = row // windows_a_line
    top = line % (height // 2)
    for pixel in tl.static_range(4):
        # A pixel is in its own window, and where it is the first along an axis in the one before that, too.
        gradient = tl.zeros((ROWS, COLUMNS), tl.float32)
        for before in tl.static_range(4):
            if (pixel // 2 + before // 2 < 2) and (pixel % 2 + before % 2 < 2):
                is_read = is_window & (top >= before // 2) & (left >= before % 2)
                place = (row - before // 2 * windows_a_line - before % 2)[:, None] * C + column[None, :]
                is_value = is_read[:, None] & is_column[None, :]
                number = (pixel // 2 + before // 2 * 2) * 3 + pixel % 2 + before % 2 * 2
                is_winner = tl.load(winner + place, mask=is_value, other=255) == number
                gradient += tl.where(is_winner, tl.load(upstream + place, mask=is_value, other=0.0).to(tl.float32), 0.0)

        is_value = is_window[:, None] & is_column[None, :]
        first = (line * 2 + pixel // 2) * width + left * 2 + pixel % 2
        place = first[:, None] * C + column[None, :]
        normal = (tl.load(x + place, mask=is_value, other=0.0).to(tl.float32) - mean) * deviation
        gradient = before_activation(gradient, normal * w + b, ACTIVATION)
        through = (gradient - of_bias - normal * of_weight) * (deviation * w)
        tl.store(of_x + place, through.to(of_x.dtype.element_ty), mask=is_value)
