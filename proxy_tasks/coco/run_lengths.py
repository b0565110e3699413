"""Run lengths of masks, as COCO's tools write them: encoded, decoded, and checked before C code reads them."""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

_MAX_DIGITS = 7
"""Most characters of one number: each has five bits, and no run is longer than 2**32 pixels."""


class Rle(TypedDict):
    """One mask in COCO's form: lengths of runs down the columns, first of zeros, then of ones, and so on."""

    size: tuple[int, int]
    counts: bytes


def coco_rle(rle: Rle) -> dict[str, Any]:
    """Return a mask as COCO's JSON files have it."""
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


def encode_mask(mask: NDArray[np.bool_] | NDArray[np.uint8]) -> bytes:
    """Return the compact run lengths of an (H, W) mask."""
    counts: bytes = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return counts


def decode_mask(counts: bytes, size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the (H, W) mask of ones and zeros that sound run lengths stand for.

    Raises:
        ValueError: they are not sound; see `is_sound`.
    """
    runs = _plain(counts)
    if runs is None:
        raise ValueError(f"run lengths are broken off, or hold other characters: {counts[:40]!r}")
    values = (np.arange(len(runs)) & 1).astype(np.uint8)
    return np.repeat(values, runs).reshape(size_px[::-1]).T


def encode_polygons(polygons: Sequence[Sequence[float]], size_px: tuple[int, int]) -> bytes:
    """Return the run lengths of what polygons cover together in an image of that height and width.

    Args:
        polygons: x and y of one corner after the other, three corners or more.
        size_px: height and width.
    """
    counts: bytes = coco_mask.merge(coco_mask.frPyObjects([list(one) for one in polygons], *size_px))["counts"]
    return counts


def compact(runs: Sequence[int], size_px: tuple[int, int]) -> bytes | None:
    """Return the compact form of plain run lengths; None where they are not those of an image of that size."""
    if any(run < 0 for run in runs) or sum(runs) != size_px[0] * size_px[1]:
        return None
    counts: bytes = coco_mask.frPyObjects({"size": list(size_px), "counts": list(runs)}, *size_px)["counts"]
    return counts


def is_sound(counts: bytes, size_px: tuple[int, int]) -> bool:
    """Return whether compact run lengths are those of an image of that size.

    COCO's own code reads and writes beyond its memory where they are not.
    """
    runs = _plain(counts)
    return runs is not None and bool((runs >= 0).all()) and int(runs.sum()) == size_px[0] * size_px[1]


def _plain(counts: bytes) -> NDArray[np.int64] | None:
    """Return the runs that the compact form stands for; None where it is broken off or holds other characters.

    Source: rleFrString of cocoapi's maskApi.c: five bits a character, the lowest first; the third run and those after
    it are differences to the one before the last.
    """
    digits = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    is_last = (digits & 32) == 0
    if not len(digits) or ((digits < 0) | (digits > 63)).any() or not is_last[-1]:
        return None

    ends = np.flatnonzero(is_last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MAX_DIGITS:
        return None

    place = np.arange(len(digits)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((digits & 31) << (5 * place), starts)
    runs -= np.where(digits[ends] & 16, np.int64(1) << (5 * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs
