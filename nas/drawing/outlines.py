"""The outlines of blocks: how big each is drawn, its shape, and how far it reaches.

All of them look alike from left, right, above and below, so that connections may enter on any side.
"""

import math
from typing import assert_never

from nas.drawing.curves import Curve, Point, polygon
from search_space.kinds import Outline

HALF_SIZES: dict[Outline, float] = {"square": 13.5, "diamond": 16.5, "circle": 14.5, "octagon": 14.5, "cross": 15.0}
"""Half the width and height of a block: all shapes look equally big."""
_QUARTER_CIRCLE = 0.5523
"""Control points of a quarter circle, in radii."""
_OCTAGON_SIDE = math.sqrt(2) - 1
"""Half a side of a regular octagon, in half sizes."""
_CROSS_ARM = 0.6
"""Half the width of a cross's arm, in half sizes."""


def outline_curve(outline: Outline, x: float, y: float, half_size: float) -> Curve:
    """Return the closed shape around a centre."""
    match outline:
        case "square":
            return _four_sided(x, y, half_size, ((-1, -1),))
        case "diamond":
            return _four_sided(x, y, half_size, ((0, -1),))
        case "octagon":
            return _four_sided(x, y, half_size, ((-_OCTAGON_SIDE, -1), (_OCTAGON_SIDE, -1)))
        case "cross":
            return _four_sided(x, y, half_size, ((-_CROSS_ARM, -1), (_CROSS_ARM, -1), (_CROSS_ARM, -_CROSS_ARM)))
        case "circle":
            return _circle(x, y, half_size)
        case _:
            assert_never(outline)


def outline_reach(outline: Outline, half_size: float, shift: float) -> float:
    """Return how far the shape reaches to any side, `shift` off the middle of that side."""
    off = abs(shift) / half_size
    match outline:
        case "square":
            return half_size
        case "diamond":
            return half_size * (1 - off)
        case "octagon":
            return half_size * min(1.0, 1 + _OCTAGON_SIDE - off)
        case "cross":
            return half_size * (1 if off <= _CROSS_ARM else _CROSS_ARM)
        case "circle":
            return half_size * math.sqrt(1 - off * off)
        case _:
            assert_never(outline)


def _four_sided(x: float, y: float, half_size: float, quarter: tuple[Point, ...]) -> Curve:
    """Return a polygon around a centre: the corners of one side, in half sizes, turned to all four."""
    points: list[Point] = []
    for _ in range(4):
        points += [(x + right * half_size, y + down * half_size) for right, down in quarter]
        quarter = tuple((-down, right) for right, down in quarter)
    return polygon(*points)


def _circle(x: float, y: float, radius: float) -> Curve:
    k = _QUARTER_CIRCLE * radius
    return Curve(
        (x, y - radius),
        (
            ((x + k, y - radius), (x + radius, y - k), (x + radius, y)),
            ((x + radius, y + k), (x + k, y + radius), (x, y + radius)),
            ((x - k, y + radius), (x - radius, y + k), (x - radius, y)),
            ((x - radius, y - k), (x - k, y - radius), (x, y - radius)),
        ),
    )
