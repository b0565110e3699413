"""Tiles of a feature, and activations: the parts that the Triton kernels of features share.

A feature is taken as a matrix of one row a pixel, which is what the channels-last layout is.
"""

from typing import Final

import triton
import triton.language as tl
from torch import Tensor

# Numbers in kernels must be constants that Triton knows of.
RELU: Final = tl.constexpr(1)
SILU: Final = tl.constexpr(2)

WARPS = 4
MAX_CHUNKS = 512
"""Chunks of rows: some for each of a GPU's multiprocessors, and so few that one program adds them at once."""
COLUMNS_A_FINISH = 8
"""Columns whose chunks one program adds."""
_TILE = 4096
"""Values that one program reads at a time."""
_MAX_TILE_COLUMNS = 128


class Grid:
    """A feature in channels-last layout as a matrix, and its division into tiles and chunks of rows."""

    def __init__(self, x: Tensor) -> None:
        self.columns = x.shape[1]
        self.rows = x.numel() // self.columns
        self.tile_columns = min(triton.next_power_of_2(self.columns), _MAX_TILE_COLUMNS)
        self.tile_rows = _TILE // self.tile_columns

        num_tiles = triton.cdiv(self.rows, self.tile_rows)
        num_column_tiles = triton.cdiv(self.columns, self.tile_columns)
        self.rows_a_chunk = triton.cdiv(num_tiles, MAX_CHUNKS) * self.tile_rows
        self.num_chunks = triton.cdiv(self.rows, self.rows_a_chunk)
        self.of_chunks = (self.num_chunks, num_column_tiles)
        self.of_tiles = (num_tiles, num_column_tiles)


@triton.jit
def channels(of_batch, weight, bias, column, C: tl.constexpr):
    """Return mean, one over the deviation, weight and bias of some columns, each of one row."""
    is_column = column < C
    mean = tl.load(of_batch + column, mask=is_column, other=0.0)
    deviation = tl.load(of_batch + C + column, mask=is_column, other=0.0)
    w = tl.load(weight + column, mask=is_column, other=0.0)
    b = tl.load(bias + column, mask=is_column, other=0.0)
    return mean[None, :], deviation[None, :], w[None, :], b[None, :]


@triton.jit
def activate(z, ACTIVATION: tl.constexpr):
    """Return the activated z; what is not a number stays so."""
    if ACTIVATION == RELU:
        z = tl.where(z <= 0, 0.0, z)
    if ACTIVATION == SILU:
        z = z * tl.sigmoid(z)
    return z


@triton.jit
def before_activation(gradient, z, ACTIVATION: tl.constexpr):
    """Return the gradient of z, given that of the activated z."""
    if ACTIVATION == RELU:
        gradient = tl.where(z > 0, gradient, 0.0)
    if ACTIVATION == SILU:
        p = tl.sigmoid(z)
        gradient = gradient * p * (1 + z * (1 - p))
    return gradient
