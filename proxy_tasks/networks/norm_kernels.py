"""Triton kernels of batch normalisation in training, with what follows it: a sum and an activation.

Each pass reads its features once. Sums over rows are taken in chunks, and the chunks then added in a fixed order: the
same input gives the same bits.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from proxy_tasks.networks.feature_grid import COLUMNS_A_FINISH, MAX_CHUNKS, WARPS, Grid, activate, channels


def statistics(
    x: Tensor,
    running_mean: Tensor,
    running_variance: Tensor,
    num_batches: Tensor,
    momentum: float,
    epsilon: float,
    shift: Tensor | None,
) -> Tensor:
    """Return (2, C) float32, the mean of (B, C, H, W) and one over its deviation, and update the running statistics.

    `shift`, (C,), is what x lacks: a constant that normalisation takes away, but that the running mean has in it.
    """
    grid = Grid(x)
    parts = x.new_empty((grid.num_chunks, 2, grid.columns), dtype=torch.float32)
    result = x.new_empty((2, grid.columns), dtype=torch.float32)

    _partial_statistics[grid.of_chunks](
        x,
        parts,
        grid.rows,
        grid.rows_a_chunk,
        C=grid.columns,
        ROWS=grid.tile_rows,
        COLUMNS=grid.tile_columns,
        num_warps=WARPS,
    )

    _finish_statistics[(triton.cdiv(grid.columns, COLUMNS_A_FINISH),)](
        parts,
        result,
        running_mean,
        running_variance,
        num_batches,
        result if shift is None else shift,
        grid.num_chunks,
        grid.rows,
        grid.rows_a_chunk,
        momentum,
        epsilon,
        C=grid.columns,
        HAS_SHIFT=shift is not None,
        CHUNKS=MAX_CHUNKS,
        COLUMNS=COLUMNS_A_FINISH,
    )
    return result


def apply(x: Tensor, plus: Tensor | None, of_batch: Tensor, weight: Tensor, bias: Tensor, activation: int) -> Tensor:
    """Return `activation(normalised(x) + plus)`, of the shape and type of x."""
    grid = Grid(x)
    out = torch.empty_like(x)
    _apply[grid.of_tiles](
        x,
        x if plus is None else plus,
        out,
        of_batch,
        weight,
        bias,
        grid.rows,
        C=grid.columns,
        HAS_PLUS=plus is not None,
        ACTIVATION=activation,
        ROWS=grid.tile_rows,
        COLUMNS=grid.tile_columns,
        num_warps=WARPS,
    )
    return out


@triton.jit
def _partial_statistics(x, parts, num_rows, rows_a_chunk, C: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Store the mean of each column of a chunk, and the sum of the squares around it."""
    chunk = tl.program_id(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    is_column = column < C
    first = chunk.to(tl.int64) * rows_a_chunk
    end = tl.minimum(first + rows_a_chunk, num_rows)

    # Around a value of the column itself, so that nothing is lost where the mean is large beside the deviation.
    around = tl.load(x + first * C + column, mask=is_column, other=0.0).to(tl.float32)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    squares = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, rows_a_chunk, ROWS):
        row = first + start + tl.arange(0, ROWS)
        is_value = (row < end)[:, None] & is_column[None, :]
        value = tl.load(x + row[:, None] * C + column[None, :], mask=is_value, other=0.0).to(tl.float32)
        distance = tl.where(is_value, value - around[None, :], 0.0)
        total += distance
        squares += distance * distance

    count = (end - first).to(tl.float32)
    total_of_column = tl.sum(total, 0)
    place = chunk * 2 * C + column
    tl.store(parts + place, around + total_of_column / count, mask=is_column)
    of_squares = tl.sum(squares, 0) - total_of_column * total_of_column / count
    tl.store(parts + place + C, of_squares, mask=is_column)


@triton.jit
def _finish_statistics(
    parts,
    result,
    running_mean,
    running_variance,
    num_batches,
    shift,
    num_chunks,
    num_rows,
    rows_a_chunk,
    momentum,
    epsilon,
    C: tl.constexpr,
    HAS_SHIFT: tl.constexpr,
    CHUNKS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Put the chunks together by Chan's formula."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    is_column = column < C
    chunk = tl.arange(0, CHUNKS)
    is_part = (chunk < num_chunks)[:, None] & is_column[None, :]
    count = tl.minimum(num_rows - chunk.to(tl.int64) * rows_a_chunk, rows_a_chunk).to(tl.float32)
    place = chunk[:, None] * 2 * C + column[None, :]

    means = tl.load(parts + place, mask=is_part, other=0.0)
    squares = tl.load(parts + place + C, mask=is_part, other=0.0)
    mean = tl.sum(tl.where(is_part, means * count[:, None], 0.0), 0) / num_rows
    distance = means - mean[None, :]
    of_squares = tl.sum(tl.where(is_part, squares + count[:, None] * distance * distance, 0.0), 0)

    tl.store(result + column, mean, mask=is_column)
    tl.store(result + C + column, 1 / tl.sqrt(of_squares / num_rows + epsilon), mask=is_column)

    # The running variance is without bias, as torch has it.
    old_mean = tl.load(running_mean + column, mask=is_column)
    old_variance = tl.load(running_variance + column, mask=is_column)
    variance = of_squares / tl.maximum(num_rows - 1, 1)
    if HAS_SHIFT:
        mean += tl.load(shift + column, mask=is_column, other=0.0).to(tl.float32)
    tl.store(running_mean + column, old_mean + momentum * (mean - old_mean), mask=is_column)
    tl.store(running_variance + column, old_variance + momentum * (variance - old_variance), mask=is_column)
    if tl.program_id(0) == 0:
        tl.store(num_batches, tl.load(num_batches) + 1)


@triton.jit
def _apply(
    x,
    plus,
    out,
    of_batch,
    weight,
    bias,
    num_rows,
    C: tl.constexpr,
    HAS_PLUS: tl.constexpr,
    ACTIVATION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Normalise, add and activate a tile."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    is_column = column < C
    is_value = (row < num_rows)[:, None] & is_column[None, :]
    place = row[:, None] * C + column[None, :]

    mean, deviation, w, b = channels(of_batch, weight, bias, column, C)
    z = (tl.load(x + place, mask=is_value, other=0.0).to(tl.float32) - mean) * (deviation * w) + b
    if HAS_PLUS:
        z += tl.load(plus + place, mask=is_value, other=0.0).to(tl.float32)
    tl.store(out + place, activate(z, ACTIVATION).to(out.dtype.element_ty), mask=is_value)
