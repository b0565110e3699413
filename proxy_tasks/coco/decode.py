"""Decoding: one image file, of whatever kind, as RGB pixels of a given size."""

import io
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from proxy_tasks.coco.deep_pixels import (
    Depth,
    UnknownScaleError,
    check_high_bytes,
    floats_to_bytes,
    integers_to_bytes,
    stated_depth,
)

_ORIENTATION = 0x0112
_FIRST_ON_ITS_SIDE = 5
"""Smallest EXIF orientation that exchanges height and width."""
_MODE_NAMES = {"L": "grey", "1": "black and white", "P": "palette", "F": "floating-point grey of 0 to 1"}
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


def decode_image(file: Path, expected_size: tuple[int, int] | None, content: bytes | None = None) -> Decoded:
    """Read an image as RGB.

    Grey and palette images are spread over three channels, CMYK is converted, transparency dropped, and deep values
    are scaled to eight bits as `deep_pixels` says. Boxes are drawn on the pixels as stored or as EXIF turns them: the
    image is turned only where its size fits the annotations in no other way.

    Args:
        file: image file of any format that Pillow reads.
        expected_size: height and width that the annotations give; None where there are none: the image is then turned
            as EXIF says, as viewers show it.
        content: what the file holds; read here where it is not given.

    Raises:
        UnusableImageError: the file is not an image, is cut off, or has another size or values of unknown scale.
        OSError: the file cannot be read.
    """
    try:
        with Image.open(file if content is None else io.BytesIO(content)) as opened:
            depth = stated_depth(opened)
            conversion = _conversion(opened.mode, depth)

            # The annotations may be about the image as EXIF turns it: then height and width are exchanged.
            is_turned = (opened.height, opened.width) != expected_size == (opened.width, opened.height)
            orientation = opened.getexif().get(_ORIENTATION, 1)
            if orientation > 1 if expected_size is None else is_turned and orientation >= _FIRST_ON_ITS_SIDE:
                turned = _to_rgb(ImageOps.exif_transpose(opened), depth)
                also = f" and {conversion}" if conversion else ""
                return Decoded(turned, f"images turned as their EXIF data says{also}")

            image = _to_rgb(opened, depth)
    except UnknownScaleError as error:
        raise UnusableImageError(f"{file} has {error}") from None
    except _ERRORS as error:
        # With a number it is the system's error, which could not read the file; else the file itself is damaged.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnusableImageError(f"cannot decode {file}: {' '.join(str(error).split())}") from None

    if expected_size is not None and (image.height, image.width) != expected_size:
        raise UnusableImageError(
            f"{file} is {image.width}x{image.height} px, its annotations say {expected_size[1]}x{expected_size[0]}"
        )

    return Decoded(image, f"images {conversion}" if conversion else "")


def rgb_of(image: Image.Image) -> Image.Image:
    """Return an opened image as RGB of eight bits, as `decode_image` converts it, and not turned.

    Raises:
        UnusableImageError: it cannot be decoded, or has values of unknown scale.
    """
    try:
        return _to_rgb(image, stated_depth(image))
    except UnknownScaleError as error:
        raise UnusableImageError(f"the image has {error}") from None
    except _ERRORS as error:
        raise UnusableImageError(f"cannot decode the image: {' '.join(str(error).split())}") from None


def _conversion(mode: str, depth: Depth) -> str:
    """Return in words what has to be done to an image of a mode of Pillow's; empty for RGB of eight bits."""
    if depth.has_deep_channels:
        return "converted from 16-bit channels to RGB"
    if mode == "RGB":
        return ""
    if mode.startswith("I"):
        scale = "" if depth.largest is None else " by the largest value that their files state"
        return f"converted from 16-bit grey{scale} to RGB"
    return f"converted from {_MODE_NAMES.get(mode, mode)} to RGB"


def _to_rgb(image: Image.Image, depth: Depth) -> Image.Image:
    """Return an image as RGB of eight bits.

    Raises:
        UnknownScaleError: it does not tell which of its values is white.
    """
    # Pillow would clip these at 255.
    if image.mode.startswith("I"):
        return Image.fromarray(integers_to_bytes(np.asarray(image), depth.largest)).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(floats_to_bytes(np.asarray(image))).convert("RGB")

    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    rgb = image.convert("RGB")
    if depth.has_deep_channels:
        check_high_bytes(rgb)
    return rgb


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


def fitted_sizes(original_px: NDArray[np.int64], sizes_px: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (N, 2) `fitted_size` of (N, 2) heights and widths, in squares of one side or of (N,) sides."""
    sides = np.broadcast_to(sizes_px, len(original_px))
    pairs = zip(original_px.tolist(), sides.tolist(), strict=True)
    return np.array([fitted_size(height, width, side) for (height, width), side in pairs])
