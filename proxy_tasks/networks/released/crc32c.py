"""CRC-32C, the checksum that TensorFlow's files carry, computed by NumPy."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_START = bytes.fromhex("54641f64")
"""Read by a register of zeros they give the register of ones that the checksum begins with."""


def masked_crc32c(content: bytes) -> int:
    """Return the checksum as LevelDB and TensorFlow store it."""
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def crc32c(content: bytes) -> int:
    """Return the CRC-32C of some bytes.

    Python is slow byte by byte, so the content is cut into lanes that NumPy reads side by side. The register is linear
    in what it reads: that of two lanes is the left one's, moved on over as many zeros as the right one has bytes, plus
    the right one's.
    """
    size = len(_START) + len(content)
    lane_size = 2 ** (math.ceil(math.log2(size)) // 2)
    num_lanes = math.ceil(size / lane_size)

    # Zeros at the front leave a register of zeros as it is.
    padding = bytes(num_lanes * lane_size - size)
    lanes = np.frombuffer(padding + _START + content, "<u2").reshape(num_lanes, lane_size // 2)
    registers = np.zeros(num_lanes, np.uint32)
    for column in np.ascontiguousarray(lanes.T):  # (num_lanes,)
        registers = _PAIRS[(registers ^ column) & 0xFFFF] ^ (registers >> 16)

    move = _moves_over_zeros(int(math.log2(lane_size)))
    while registers.size > 1:
        if registers.size % 2:
            registers = np.concatenate(([np.uint32(0)], registers))
        registers = _moved(registers[::2], move) ^ registers[1::2]
        move = _moved(move, move)
    return int(registers[0]) ^ 0xFFFFFFFF


def _table(num_bits: int) -> NDArray[np.uint32]:
    """Return (2**num_bits,) what so many bits leave in a register of zeros."""
    table = np.arange(2**num_bits, dtype=np.uint32)
    for _ in range(num_bits):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table


_BYTES, _PAIRS = _table(8), _table(16)
"""For one byte, and for two at once."""


@cache
def _moves_over_zeros(log2_num_zeros: int) -> NDArray[np.uint32]:
    """Return (4, 256) where each value of each byte of a register goes while that many zeros are read."""
    places = np.arange(4, dtype=np.uint32)[:, None] * np.uint32(8)
    registers = np.arange(256, dtype=np.uint32) << places  # (4, 256)
    move: NDArray[np.uint32] = _BYTES[registers & 0xFF] ^ (registers >> 8)
    for _ in range(log2_num_zeros):
        move = _moved(move, move)
    return move


def _moved(registers: NDArray[np.uint32], move: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return registers of any shape after the zeros that `move` is of."""
    moved = np.zeros_like(registers)
    for i in range(4):
        moved ^= move[i][(registers >> np.uint32(8 * i)) & 0xFF]
    return moved
