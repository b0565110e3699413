"""The image store: cached images in one file, raw bytes or, where space matters, JPEGs."""

import io
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, assert_never, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from proxy_tasks.base import Report

Format: TypeAlias = Literal["raw", "jpeg"]
"""`raw` needs `3 * image_size_px**2` bytes an image and nothing to read them; `jpeg` about a tenth, and decoding."""
FORMATS: tuple[Format, ...] = get_args(Format)
_JPEG_QUALITY = 95
_REPORT_EVERY = 256


class Images(Protocol):
    """N square RGB images."""

    def read(self, rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Write the images of `rows`, (B,), into `out`, (B, S, S, 3)."""
        ...


class RawImages:
    """Images in one memory-mapped file: every process of a machine reads the same pages.

    Args:
        path: file with the bytes of all images, one after the other.
        num_images: N.
        image_size_px: S.
    """

    def __init__(self, path: Path, num_images: int, image_size_px: int) -> None:
        self._pixels = np.memmap(path, np.uint8, "r", shape=(num_images, image_size_px, image_size_px, 3))

    def read(self, rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """See `Images`."""
        # Rows are known to be in range; without "clip" numpy would copy through a buffer to check them.
        np.take(self._pixels, rows, axis=0, out=out, mode="clip")


class JpegImages:
    """Images in one memory-mapped file of JPEGs, decoded whenever they are read.

    Args:
        path: file with all JPEGs, one after the other.
        starts: (N + 1,) byte at which each begins, and that at which the last ends.
    """

    def __init__(self, path: Path, starts: NDArray[np.int64]) -> None:
        self._bytes = np.memmap(path, np.uint8, "r")
        self._starts = starts
        self._threads = ThreadPoolExecutor(num_cores(), "jpeg")

    def encoded(self, rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """Return the bytes of some images as they are stored."""
        return [self._bytes[self._starts[row] : self._starts[row + 1]] for row in rows]

    def read(self, rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """See `Images`."""

        def decode(pixels: NDArray[np.uint8], encoded: NDArray[np.uint8]) -> None:
            with Image.open(io.BytesIO(encoded.data)) as image:
                pixels[:] = np.asarray(image)

        list(self._threads.map(decode, out, self.encoded(rows)))


def encode(pixels: NDArray[np.uint8], image_format: Format) -> bytes:
    """Return the bytes of (S, S, 3) pixels in a file of that format."""
    match image_format:
        case "raw":
            return pixels.tobytes()
        case "jpeg":
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
            return buffer.getvalue()
        case _:
            assert_never(image_format)


def open_images(path: Path, image_format: Format, starts: NDArray[np.int64], image_size_px: int) -> Images:
    """Open a file of images; image i has the bytes `starts[i]` to `starts[i + 1]`."""
    match image_format:
        case "raw":
            return RawImages(path, len(starts) - 1, image_size_px)
        case "jpeg":
            return JpegImages(path, starts)
        case _:
            assert_never(image_format)


def first_damaged(path: Path, starts: NDArray[np.int64], checksums: NDArray[np.int64], report: Report) -> int | None:
    """Return the row of the first image whose bytes do not have their CRC-32, None where all have."""
    data = np.memmap(path, np.uint8, mode="r")
    for row, checksum in enumerate(checksums):
        if zlib.crc32(data[starts[row] : starts[row + 1]].data) != checksum:
            return row
        if (row + 1) % _REPORT_EVERY == 0 or row + 1 == len(checksums):
            report("comparing checksums", row + 1, len(checksums))
    return None


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))
