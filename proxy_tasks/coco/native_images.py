"""Native images: cached at their own size as JPEGs, so that one cache serves every image size."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foundation import check_range
from proxy_tasks.coco.decode import fit, fitted_size
from proxy_tasks.coco.image_store import JpegFile, encode_jpeg

LONGEST_SIDE_PX = 1280
"""Bound unless another is asked for: what a crop at twice 640 px needs, and no image of COCO is larger."""
_MAX_SIDE_PX = 65_500
_KEPT_MODES = ("RGB", "L")


@dataclass(frozen=True, slots=True)
class Native:
    """The format of a cache that holds JPEGs of the images' own sizes.

    Attributes:
        longest_side_px: larger images are shrunk until their long side is this.
    """

    longest_side_px: int = LONGEST_SIDE_PX

    def __post_init__(self) -> None:
        check_range("longest_side_px", self.longest_side_px, 32, _MAX_SIDE_PX, "no JPEG is larger")


class NativeImages:
    """Images of a cache of native size, as they are or fitted into squares.

    Args:
        file: the JPEGs.
        image_size_px: S, the side of the squares.
    """

    def __init__(self, file: JpegFile, image_size_px: int) -> None:
        self._file = file
        self._image_size_px = image_size_px

    def at_size(self, image_size_px: int) -> "NativeImages":
        """Return the same images, fitted into squares of another size."""
        return NativeImages(self._file, image_size_px)

    def read(self, rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Write the images of `rows`, (B,), into `out`, (B, S, S, 3), fitted as a detector fits a picture."""

        def take(place: int, image: Image.Image) -> None:
            out[place] = fit(image.convert("RGB"), self._image_size_px)

        self._file.decode(rows, take)

    def decoded(self, rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """Return the images of `rows`, (B,), as they are stored, each (H, W, 3)."""
        images: list[NDArray[np.uint8]] = [np.empty(0, np.uint8)] * len(rows)

        def take(place: int, image: Image.Image) -> None:
            images[place] = np.asarray(image.convert("RGB"))

        self._file.decode(rows, take)
        return images


def native_jpeg(image: Image.Image, content: bytes, longest_side_px: int) -> bytes:
    """Return the JPEG that stands for an image: its own file, where that is one of the size and kind that is wanted.

    Args:
        image: RGB, as `decode_image` returns it.
        content: what its file holds.
        longest_side_px: see `Native`.
    """
    if max(image.size) > longest_side_px:
        height, width = fitted_size(image.height, image.width, longest_side_px)
        return encode_jpeg(image.resize((width, height), Image.Resampling.BILINEAR))

    # One that was turned or converted has other pixels than its file says, but for grey, which is as good.
    with Image.open(io.BytesIO(content)) as stored:
        is_as_stored = stored.format == "JPEG" and stored.mode in _KEPT_MODES and stored.size == image.size
    return content if is_as_stored else encode_jpeg(image)
