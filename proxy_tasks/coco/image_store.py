"""The image store: cached images in one file, raw bytes or, where space matters, JPEGs."""

import io
import os
import zlib
from collections.abc import Callable
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


class JpegFile:
    """JPEGs of any sizes in one memory-mapped file, decoded by threads whenever they are read.

    Args:
        path: file with all JPEGs, one after the other.
        starts: (N + 1,) byte at which each begins, and that at which the last ends.
    """

    def __init__(self, path: Path, starts: NDArray[np.int64]) -> None:
        # As a plain array, which is sliced many times as fast: a batch is made while this process launches kernels.
        self._bytes = np.asarray(np.memmap(path, np.uint8, "r"))
        self._starts = starts
        self._threads = ThreadPoolExecutor(num_cores(), "jpeg")

    def encoded(self, rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """Return the bytes of some images as they are stored."""
        return [self._bytes[self._starts[row] : self._starts[row + 1]] for row in rows]

    def decode(self, rows: NDArray[np.int64], take: Callable[[int, Image.Image], None]) -> None:
        """Call `take` with the place of each row in `rows` and its image, in several threads at once."""

        def decode_one(place: int, encoded: NDArray[np.uint8]) -> None:
            with Image.open(io.BytesIO(encoded.data)) as image:
                take(place, image)

        list(self._threads.map(decode_one, range(len(rows)), self.encoded(rows)))


class JpegImages:
    """Images in a file of JPEGs that are squares themselves.

    Args:
        file: the JPEGs.
    """

    def __init__(self, file: JpegFile) -> None:
        self._file = file

    def encoded(self, rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """Return the bytes of some images as they are stored."""
        return self._file.encoded(rows)

    def read(self, rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """See `Images`."""

        def take(place: int, image: Image.Image) -> None:
            out[place] = np.asarray(image)

        self._file.decode(rows, take)


def encode(pixels: NDArray[np.uint8], image_format: Format) -> bytes:
    """Return the bytes of (S, S, 3) pixels in a file of that format."""
    match image_format:
        case "raw":
            return pixels.tobytes()
        case "jpeg":
            return encode_jpeg(Image.fromarray(pixels))
        case _:
            assert_never(image_format)


def encode_jpeg(image: Image.Image) -> bytes:
    """Return an RGB image as a JPEG of high quality."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def open_images(path: Path, image_format: Format, starts: NDArray[np.int64], image_size_px: int) -> Images:
    """Open a file of images; image i has the bytes `starts[i]` to `starts[i + 1]`."""
    match image_format:
        case "raw":
            return RawImages(path, len(starts) - 1, image_size_px)
        case "jpeg":
            return JpegImages(JpegFile(path, starts))
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
