"""The scale of deep pixels: how values of more than eight bits become eight, or why that cannot be known."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BITS_PER_SAMPLE, _MAX_SAMPLE_VALUE = 258, 281
"""TIFF's tags that say how large the values can be."""
_LARGEST = 2**16 - 1
_LARGEST_OF_12_BITS = 2**12 - 1
_ADVICE = "write such images with 8 bits, or state their largest value in TIFF's tag MaxSampleValue"


class UnknownScaleError(Exception):
    """The values of an image do not tell which of them is white; the message says what they are."""


class Depth(NamedTuple):
    """The depth and scale that a file states of its own values.

    Attributes:
        largest: the value that is white; None where the file does not say.
        has_deep_channels: whether the file has 16 bits a channel, of which Pillow reads the high byte alone.
    """

    largest: int | None
    has_deep_channels: bool


def stated_depth(opened: Image.Image) -> Depth:
    """Return what an image file says of its values; its pixels must not have been read yet."""
    # Pillow's name of the stored layout, such as RGB;16B, is an argument of the decoder.
    layouts = [str(tile[3]) for tile in getattr(opened, "tile", [])]
    has_deep_channels = not opened.mode.startswith(("I", "F")) and any(";16" in layout for layout in layouts)

    # A portable map states its largest value, and Pillow has scaled by it.
    if opened.format == "PPM":
        return Depth(_LARGEST, has_deep_channels)

    # Sixteen bits are the container, whatever it holds; fewer are what was measured.
    largest, num_bits = _tag(opened, _MAX_SAMPLE_VALUE), _tag(opened, _BITS_PER_SAMPLE)
    if largest is None and num_bits is not None and 8 < num_bits < 16:
        largest = 2**num_bits - 1
    return Depth(largest, has_deep_channels)


def _tag(opened: Image.Image, number: int) -> int | None:
    """Return a TIFF's tag, of its first channel; None where there is none, or no whole number."""
    value = getattr(opened, "tag_v2", {}).get(number)
    first = value[0] if isinstance(value, tuple) and value else value
    return first if isinstance(first, int) else None


def floats_to_bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return values of 0 to 1, times 255.

    Raises:
        UnknownScaleError: some lie beyond, or are no numbers.
    """
    low, high = values.min(), values.max()
    # Written so that a NaN is refused.
    if not (low >= 0 and high <= 1):
        raise UnknownScaleError(f"floating-point values of {low:g} to {high:g}; they must lie in 0 to 1, or {_ADVICE}")
    return np.rint(values * 255).astype(np.uint8)


def integers_to_bytes(values: NDArray[np.integer], largest: int | None) -> NDArray[np.uint8]:
    """Return whole numbers scaled so that `largest` is white.

    Where the file does not state it, the high byte of 16 bits is kept if any value needs more than 12 bits.

    Raises:
        UnknownScaleError: none does, so that the image may be of 12 bits; or the values are not of 16 bits, or larger
            than stated.
    """
    low, high = int(values.min()), int(values.max())
    found = f"16-bit values of {low} to {high}"
    if low < 0 or high > _LARGEST:
        raise UnknownScaleError(f"values of {low} to {high}, which are not 16-bit: {_ADVICE}")
    if largest is not None and high > largest:
        raise UnknownScaleError(f"{found}, but states that they reach {largest}")

    # Black is black at any scale.
    if largest is None and 0 < high <= _LARGEST_OF_12_BITS:
        raise UnknownScaleError(f"{found}, which may be 12-bit content, so their scale is not known: {_ADVICE}")

    # Of 2**16 - 1 this is the high byte.
    num_values = (_LARGEST if largest is None else largest) + 1
    return (values.astype(np.int64) * 256 // num_values).astype(np.uint8)


def check_high_bytes(image: Image.Image) -> None:
    """Check the RGB image that Pillow made of the high bytes of 16-bit channels.

    Raises:
        UnknownScaleError: no value needs more than 12 bits.
    """
    high = int(np.asarray(image).max())
    if high <= _LARGEST_OF_12_BITS >> 8:
        raise UnknownScaleError(
            "16-bit values below 4096, which may be 12-bit content, so their scale is not known: write such images "
            "with 8 bits"
        )
