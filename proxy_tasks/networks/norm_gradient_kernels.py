"""Triton kernels of the gradients of batch normalisation and what follows it; see `norm_kernels`."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from proxy_tasks.networks.feature_grid import COLUMNS_A_FINISH, MAX_CHUNKS, WARPS, Grid, before_activation, channels


def gradient_sums(
    upstream: Tensor,
    x: Tensor,
    out: Tensor | None,
    of_batch: Tensor,
    weight: Tensor,
    bias: Tensor,
    activation: int,
) -> Tensor:
    """Return (2, C) float32, the gradients of weight and bias.

    `out` is the result of the forward pass where something was added before a ReLU, which decides where that is flat.
    Before a pool, x is what it has chosen.
    """
    grid = Grid(x)
    parts = x.new_empty((grid.num_chunks, 2, grid.columns), dtype=torch.float32)
    result = x.new_empty((2, grid.columns), dtype=torch.float32)
    _partial_gradients[grid.of_chunks](
        upstream,
        x,
        x if out is None else out,
        parts,
        of_batch,
        weight,
        bias,
        grid.rows,
        grid.rows_a_chunk,
        C=grid.columns,
        HAS_OUT=out is not None,
        ACTIVATION=activation,
        ROWS=grid.tile_rows,
        COLUMNS=grid.tile_columns,
        num_warps=WARPS,
    )
    _finish_sums[(triton.cdiv(grid.columns, COLUMNS_A_FINISH),)](
        parts, result, grid.num_chunks, C=grid.columns, CHUNKS=MAX_CHUNKS, COLUMNS=COLUMNS_A_FINISH
    )
    return result


def apply_gradient(
    upstream: Tensor,
    x: Tensor,
    out: Tensor | None,
    of_batch: Tensor,
    sums: Tensor,
    weight: Tensor,
    bias: Tensor,
    activation: int,
) -> tuple[Tensor, Tensor]:
    """Return the gradient of x, and that of what was added; the latter is empty where there is no `out`."""
    grid = Grid(x)
    of_x = torch.empty_like(x)
    of_plus = x.new_empty(0) if out is None else torch.empty_like(x)
    _apply_gradient[grid.of_tiles](
        upstream,
        x,
        x if out is None else out,
        of_x,
        of_x if out is None else of_plus,
        of_batch,
        sums,
        weight,
        bias,
        grid.rows,
        C=grid.columns,
        HAS_OUT=out is not None,
        ACTIVATION=activation,
        ROWS=grid.tile_rows,
        COLUMNS=grid.tile_columns,
        num_warps=WARPS,
    )
    return of_x, of_plus


@triton.jit
def _partial_gradients(
    upstream,
    x,
    out,
    parts,
    of_batch,
    weight,
    bias,
    num_rows,
    rows_a_chunk,
    C: tl.constexpr,
    HAS_OUT: tl.constexpr,
    ACTIVATION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Store the sums over a chunk of the gradients of weight and bias."""
    chunk = tl.program_id(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    is_column = column < C
    first = chunk.to(tl.int64) * rows_a_chunk
    end = tl.minimum(first + rows_a_chunk, num_rows)
    mean, deviation, w, b = channels(of_batch, weight, bias, column, C)

    of_weight = tl.zeros((ROWS, COLUMNS), tl.float32)
    of_bias = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, rows_a_chunk, ROWS):
        row = first + start + tl.arange(0, ROWS)
        is_value = (row < end)[:, None] & is_column[None, :]
        place = row[:, None] * C + column[None, :]
        gradient, normal = _of_sum(upstream, x, out, place, is_value, mean, deviation, w, b, HAS_OUT, ACTIVATION)
        of_weight += gradient * normal
        of_bias += gradient

    place_of_sums = chunk * 2 * C + column
    tl.store(parts + place_of_sums, tl.sum(of_weight, 0), mask=is_column)
    tl.store(parts + place_of_sums + C, tl.sum(of_bias, 0), mask=is_column)


@triton.jit
def _finish_sums(parts, result, num_chunks, C: tl.constexpr, CHUNKS: tl.constexpr, COLUMNS: tl.constexpr):
    """Add the two sums of all chunks."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    is_column = column < C
    chunk = tl.arange(0, CHUNKS)
    is_part = (chunk < num_chunks)[:, None] & is_column[None, :]
    place = chunk[:, None] * 2 * C + column[None, :]
    tl.store(result + column, tl.sum(tl.load(parts + place, mask=is_part, other=0.0), 0), mask=is_column)
    tl.store(result + C + column, tl.sum(tl.load(parts + place + C, mask=is_part, other=0.0), 0), mask=is_column)


@triton.jit
def _apply_gradient(
    upstream,
    x,
    out,
    of_x,
    of_plus,
    of_batch,
    sums,
    weight,
    bias,
    num_rows,
    C: tl.constexpr,
    HAS_OUT: tl.constexpr,
    ACTIVATION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Store the gradients of a tile."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    is_column = column < C
    is_value = (row < num_rows)[:, None] & is_column[None, :]
    place = row[:, None] * C + column[None, :]
    mean, deviation, w, b = channels(of_batch, weight, bias, column, C)

    gradient, normal = _of_sum(upstream, x, out, place, is_value, mean, deviation, w, b, HAS_OUT, ACTIVATION)
    if HAS_OUT:
        tl.store(of_plus + place, gradient.to(of_plus.dtype.element_ty), mask=is_value)

    # What the mean and the deviation of the batch take away.
    of_weight = tl.load(sums + column, mask=is_column, other=0.0) / num_rows
    of_bias = tl.load(sums + C + column, mask=is_column, other=0.0) / num_rows
    through = (gradient - of_bias[None, :] - normal * of_weight[None, :]) * (deviation * w)
    tl.store(of_x + place, through.to(of_x.dtype.element_ty), mask=is_value)


@triton.jit
def _of_sum(
    upstream, x, out, place, is_value, mean, deviation, weight, bias, HAS_OUT: tl.constexpr, ACTIVATION: tl.constexpr
):
    """Return the gradient of what was activated, and the normalised x, of a tile."""
    gradient = tl.load(upstream + place, mask=is_value, other=0.0).to(tl.float32)
    normal = (tl.load(x + place, mask=is_value, other=0.0).to(tl.float32) - mean) * deviation
    if HAS_OUT:
        gradient = tl.where(tl.load(out + place, mask=is_value, other=0.0) > 0, gradient, 0.0)
    else:
        gradient = before_activation(gradient, normal * weight + bias, ACTIVATION)
    return gradient, tl.where(is_value, normal, 0.0)
