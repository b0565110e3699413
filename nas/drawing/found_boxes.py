"""Objects drawn into their picture: a box and a class for each, a score if found, a mask where there is one."""

import io
import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

MIN_SIDE_PX = 480
"""Smallest long side of what is drawn: smaller pictures are enlarged, so that text in them can be read."""
_COLOURS = (
    "#e6194b", "#3cb44b", "#4363d8", "#ffe119", "#f58231", "#911eb4", "#42d4f4", "#f032e6", "#bfef45", "#469990",
    "#9a6324", "#800000", "#000075", "#fabed4", "#aaffc3", "#dcbeff", "#808000", "#ffd8b1", "#fffac8", "#a9a9a9",
)  # fmt: skip
"""Twenty colours that are easy to tell apart (Sasha Trubetskoy's list), the farthest apart first."""
_LIGHT = 140
"""Brightness, of 255, from which on black text is easier to read than white."""
_OPACITY = np.uint8(110)
"""Share of its colour that a mask is drawn with, of 255."""
_JPEG_QUALITY = 92
_MAX_LINES = 12
"""Places below one another that a name may take."""

Rectangle: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


class FoundBox(NamedTuple):
    """An object to draw.

    Attributes:
        box_xyxy: corners in pixels of the picture.
        label: index of its class, which decides the colour.
        name: name of its class.
        score: in [0, 1]; None for one that was not found but is given, as in training images.
        mask: (H, W) ones and zeros of the picture's size; None for a box alone.
    """

    box_xyxy: Rectangle
    label: int
    name: str
    score: float | None = None
    mask: NDArray[np.uint8] | None = None


def draw_found(picture: Image.Image, found: Sequence[FoundBox]) -> Image.Image:
    """Return an RGB picture with the objects drawn into it, the best on top.

    A small picture is enlarged by a whole factor. Text is set in the font that comes with Pillow, which has Latin
    letters only.
    """
    factor = math.ceil(MIN_SIDE_PX / max(picture.size))
    width, height = picture.width * factor, picture.height * factor
    drawn = picture.resize((width, height), Image.Resampling.BICUBIC) if factor > 1 else picture.copy()
    best_first = sorted(found, key=lambda one: -(one.score or 0))
    for one in reversed(best_first):
        if one.mask is not None:
            _tint(drawn, one.mask, _colour(one.label))
    canvas = ImageDraw.Draw(drawn)
    line_px = max(2, round(max(width, height) / 320))

    # Boxes before text, so that no box crosses a name; among boxes the best comes last, on top.
    for one in reversed(best_first):
        left, top, right, bottom = (value * factor for value in one.box_xyxy)
        corners = (left, top, max(left, right), max(top, bottom))
        canvas.rectangle(corners, outline=_colour(one.label), width=line_px)

    names: list[Rectangle] = []
    for one in best_first:
        corner = (one.box_xyxy[0] * factor, one.box_xyxy[1] * factor)
        text = one.name if one.score is None else f"{one.name} {one.score:.2f}"
        names.append(_write_name(canvas, text, _colour(one.label), corner, drawn.size, names))
    return drawn


def _tint(picture: Image.Image, mask: NDArray[np.uint8], colour: str) -> None:
    """Colour what a mask covers, so that the picture shows through."""
    stencil = Image.fromarray(mask * _OPACITY).resize(picture.size, Image.Resampling.NEAREST)
    picture.paste(Image.new("RGB", picture.size, colour), mask=stencil)


def picture_bytes(picture: Image.Image, ending: str) -> bytes:
    """Return a picture as the bytes of a file of that ending: PNG, or else JPEG."""
    file = io.BytesIO()
    if ending.lower() == ".png":
        picture.save(file, "PNG")
    else:
        picture.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def _colour(label: int) -> str:
    return _COLOURS[label % len(_COLOURS)]


def _write_name(
    canvas: ImageDraw.ImageDraw,
    text: str,
    colour: str,
    corner: tuple[float, float],
    size: tuple[int, int],
    others: Sequence[Rectangle],
) -> Rectangle:
    """Write a name above the corner of its box, or further down where the picture ends or another name stands.

    Returns:
        The place that it takes.
    """
    full_width, full_height = size
    font = ImageFont.load_default(max(13, max(full_width, full_height) / 45))
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
    margin = max(2, round((bottom - top) / 5))
    width, height = right - left + 2 * margin, bottom - top + 2 * margin

    # Down line by line, past names that stand there; where all is taken, over one of them.
    x = max(0.0, min(corner[0], full_width - width))
    first_y = corner[1] - height if corner[1] >= height else corner[1]
    heights = [first_y + line * (height + 1) for line in range(_MAX_LINES)]
    free = [y for y in heights if y + height <= full_height and not _overlaps((x, y, x + width, y + height), others)]
    y = free[0] if free else first_y

    place = (x, y, x + width, y + height)
    canvas.rectangle(place, fill=colour)
    canvas.text((x + margin - left, y + margin - top), text, fill=_text_colour(colour), font=font)
    return place


def _overlaps(place: Rectangle, others: Sequence[Rectangle]) -> bool:
    left, top, right, bottom = place
    return any(left <= o[2] and o[0] <= right and top <= o[3] and o[1] <= bottom for o in others)


def _text_colour(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > _LIGHT else "white"
