"""Decoding: one image file, of whatever kind, as RGB pixels of a given size."""

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

_ORIENTATION = 0x0112
_FIRST_ON_ITS_SIDE = 5
"""Smallest EXIF orientation that exchanges height and width."""
_MODE_NAMES = {"L": "grey", "1": "black and white", "P": "palette", "I;16": "16-bit grey", "I": "16-bit grey"}
_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""Exceptions that Pillow raises at files that are no image, are cut off or damaged."""


class UnusableImageError(Exception):
    """An image file cannot be decoded or is not what its annotations are about; the message says why."""


class Decoded(NamedTuple):
    """An image as the annotations describe it.

    Attributes:
        image: RGB, of the size that was expected.
        repair: in words, what had to be done to it; empty where nothing had.
    """

    image: Image.Image
    repair: str


def decode_image(file: Path, expected_size: tuple[int, int]) -> Decoded:
    """Read an image as RGB.

    Grey and palette images are spread over three channels, CMYK is converted, transparency dropped, and of 16-bit
    values the high byte is kept. Boxes are drawn on the pixels as stored or as EXIF turns them: the image is turned
    only where its size fits the annotations in no other way.

    Args:
        file: image file of any format that Pillow reads.
        expected_size: height and width that the annotations give.

    Raises:
        UnusableImageError: the file is not an image, is cut off, or has another size.
        OSError: the file cannot be read.
    """
    try:
        with Image.open(file) as opened:
            mode = opened.mode

            # The annotations may be about the image as EXIF turns it: then height and width are exchanged.
            is_turned = (opened.height, opened.width) != expected_size == (opened.width, opened.height)
            if is_turned and opened.getexif().get(_ORIENTATION, 1) >= _FIRST_ON_ITS_SIDE:
                return Decoded(_to_rgb(ImageOps.exif_transpose(opened)), "images turned as their EXIF data says")

            image = _to_rgb(opened)
    except _ERRORS as error:
        # With a number it is the system's error, which could not read the file; else the file itself is damaged.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnusableImageError(f"cannot decode {file}: {' '.join(str(error).split())}") from None

    if (image.height, image.width) != expected_size:
        raise UnusableImageError(
            f"{file} is {image.width}x{image.height} px, its annotations say {expected_size[1]}x{expected_size[0]}"
        )

    return Decoded(image, "" if mode == "RGB" else f"images converted from {_MODE_NAMES.get(mode, mode)} to RGB")


def _to_rgb(image: Image.Image) -> Image.Image:
    # Pillow would clip 16-bit values at 255; their high byte is the picture.
    if image.mode.startswith("I"):
        values = np.asarray(image)
        return Image.fromarray((values.clip(0, 2**16 - 1) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def fit(image: Image.Image, size_px: int) -> NDArray[np.uint8]:
    """Return (size_px, size_px, 3): the image with its long side scaled to `size_px`, zeros to the right or below."""
    height, width = fitted_size(image.height, image.width, size_px)
    padded = np.zeros((size_px, size_px, 3), np.uint8)
    padded[:height, :width] = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    return padded


def fitted_size(height: int, width: int, size_px: int) -> tuple[int, int]:
    """Return height and width of an image after `fit`, without its padding."""
    scale = size_px / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))
