"""Sizes of image files, read from their heads without decoding them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image

from proxy_tasks.base import Report
from proxy_tasks.coco.image_store import num_cores

T = TypeVar("T")

UNKNOWN_SIZE = (1, 1)
"""Size of a file that is no image: decoding it says what is wrong, and it is counted as bad."""
_BATCH = 1024
"""Files that are looked at between two reports."""
_ORIENTATION, _FIRST_ON_ITS_SIDE = 274, 5
"""EXIF tag of the orientation, and the smallest one that exchanges height and width."""


def stored_size(file: Path) -> tuple[int, int]:
    """Return height and width of an image file as its pixels are stored; of one that is no image, `UNKNOWN_SIZE`."""
    try:
        with Image.open(file) as opened:
            return opened.height, opened.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return UNKNOWN_SIZE


def displayed_size(file: Path) -> tuple[int, int]:
    """Return height and width of an image file as it is seen, turned by its EXIF orientation; see `stored_size`."""
    try:
        with Image.open(file) as opened:
            is_on_its_side = opened.getexif().get(_ORIENTATION, 1) >= _FIRST_ON_ITS_SIDE
            return (opened.width, opened.height) if is_on_its_side else (opened.height, opened.width)
    except (OSError, ValueError, SyntaxError, TypeError, Image.DecompressionBombError):
        return UNKNOWN_SIZE


def sizes_of(images: Sequence[T], size_of: Callable[[T], tuple[int, int]], report: Report) -> list[tuple[int, int]]:
    """Return the size of each of several images, several files at a time.

    Args:
        images: whatever names them.
        size_of: returns height and width of one.
        report: called while they are read.
    """
    sizes: list[tuple[int, int]] = []
    with ThreadPoolExecutor(num_cores(), "sizes") as pool:
        for start in range(0, len(images), _BATCH):
            sizes += pool.map(size_of, images[start : start + _BATCH])
            report("reading the sizes of images", len(sizes), len(images))
    return sizes
