"""A picture as a PNG image."""

import io
import math
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from nas.drawing.curves import Point
from nas.drawing.picture import Picture, Shape, Text

OVERSAMPLING = 4
"""The factor by which all is drawn larger and then reduced: Pillow draws no smooth edges."""


def to_png(picture: Picture, width_px: int) -> bytes:
    """Return the picture as the bytes of a PNG file, `width_px` wide.

    Text is set in the font that comes with Pillow, so it looks alike on all machines; it has Latin letters only.
    """
    height_px = max(1, round(width_px * picture.height / picture.width))
    scale = OVERSAMPLING * width_px / picture.width
    image = Image.new("RGB", (OVERSAMPLING * width_px, OVERSAMPLING * height_px), "white")
    canvas = ImageDraw.Draw(image)

    for item in picture.items:
        if isinstance(item, Shape):
            _draw_shape(canvas, item, scale)
        else:
            _draw_text(canvas, item, scale)

    file = io.BytesIO()
    image.resize((width_px, height_px), Image.Resampling.BOX).save(file, "PNG", optimize=True)
    return file.getvalue()


def _draw_shape(canvas: ImageDraw.ImageDraw, shape: Shape, scale: float) -> None:
    points = [(x * scale, y * scale) for x, y in shape.curve.sample()]
    if shape.fill:
        canvas.polygon(points, fill=shape.fill)
    if shape.stroke:
        width = max(1, round(shape.stroke_width * scale))
        # One point past the start, so that the last corner is joined as the others are.
        if shape.is_closed:
            points = [*points, points[0], points[1]]
        for dash in _dashes(points, shape.dash, scale):
            canvas.line(dash, fill=shape.stroke, width=width, joint="curve")


def _dashes(points: list[Point], dash: tuple[float, float] | None, scale: float) -> list[list[Point]]:
    """Cut a line into its dashes."""
    if dash is None:
        return [points]

    lengths = [length * scale for length in dash]
    dashes, left, is_on = [[points[0]]], lengths[0], True
    for start, end in pairwise(points):
        here, distance = start, math.dist(start, end)

        # Switch between dash and gap as often as this piece of the line is long.
        while distance > left:
            share = left / distance
            here = (here[0] + share * (end[0] - here[0]), here[1] + share * (end[1] - here[1]))
            distance -= left
            if is_on:
                dashes[-1].append(here)
            else:
                dashes.append([here])
            is_on = not is_on
            left = lengths[0 if is_on else 1]

        left -= distance
        if is_on:
            dashes[-1].append(end)

    return [part for part in dashes if len(part) > 1]


def _draw_text(canvas: ImageDraw.ImageDraw, text: Text, scale: float) -> None:
    label = text.label
    font = ImageFont.load_default(label.size * scale)
    # Pillow's own font has no bold letters: an outline thickens them.
    thickness = 0.015 * label.size * scale if label.is_bold else 0
    canvas.text(
        (label.x * scale, label.y * scale),
        label.text,
        fill=text.colour,
        font=font,
        anchor="ms" if label.anchor == "middle" else "ls",
        stroke_width=round(thickness),
    )
