"""The curves of a picture: Bezier segments, straight or smooth."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

Point: TypeAlias = tuple[float, float]
Side: TypeAlias = Literal["left", "top", "bottom"]
"""The side on which a curve enters the block that it leads to."""
MAX_END_SLOPE = 1.0


@dataclass(frozen=True, slots=True)
class Curve:
    """Cubic Bezier segments one after another: a start, then two control points and an end for each."""

    start: Point
    segments: tuple[tuple[Point, Point, Point], ...]

    def sample(self, num_points: int = 12) -> list[Point]:
        """Return points along the curve: its start, then `num_points` of each segment."""
        points = [self.start]
        for a, b, end in self.segments:
            start = points[-1]
            points += [bezier(start, a, b, end, (n + 1) / num_points) for n in range(num_points)]
        return points

    def moved(self, dx: float, dy: float) -> "Curve":
        """Return the same curve, as far to the right and down."""

        def move(point: Point) -> Point:
            return point[0] + dx, point[1] + dy

        return Curve(move(self.start), tuple((move(a), move(b), move(end)) for a, b, end in self.segments))


def polygon(*points: Point) -> Curve:
    """Return straight lines from point to point."""
    return Curve(points[0], tuple((a, b, b) for a, b in pairwise(points)))


def bezier(start: Point, a: Point, b: Point, end: Point, t: float) -> Point:
    """Return the point at `t`, from 0 to 1, of a cubic Bezier segment."""
    u = 1 - t
    p, q, r, s = u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t
    return p * start[0] + q * a[0] + r * b[0] + s * end[0], p * start[1] + q * a[1] + r * b[1] + s * end[1]


def smooth_curve(points: Sequence[Point], end: Point, side: Side) -> Curve:
    """Return a curve through `points` to `end`, with nowhere a higher or lower height than those of its points.

    Args:
        points: one or more, from left to right.
        end: right of them.
        side: `left` comes from the left, the others turn to come from above or below.
    """
    if side == "left":
        points = [*points, end]

    slopes = _slopes(points)
    last = points[-1]
    run, drop = end[0] - last[0], end[1] - last[1]
    if side != "left":
        into = (last[1] - points[-2][1]) / (last[0] - points[-2][0]) if len(points) > 1 else 0.0
        slopes[-1] = _mean_slope(into, 0.5 * drop / run, 1.0, 1.0)

    # Control points at a third and two thirds of the way: the curve runs at an even pace from left to right.
    segments = []
    for (p, q), (s, t) in zip(pairwise(points), pairwise(slopes), strict=True):
        third = (q[0] - p[0]) / 3
        segments.append(((p[0] + third, p[1] + s * third), (q[0] - third, q[1] - t * third), q))

    # The turn into the block leans with the way it came, and ends upright.
    if side != "left":
        reach = 0.6 * run
        rise = min(slopes[-1] * reach, 0.6 * drop, key=abs)
        lean = 0.5 * run * max(0.0, 1 - abs(drop) / (2 * run))
        segments.append(((last[0] + reach, last[1] + rise), (end[0] - lean, end[1] - 0.55 * drop), end))

    return Curve(points[0], tuple(segments))


def height_at(curve: Curve, x: float) -> float:
    """Return the height of a curve that runs from left to right."""
    start = curve.start
    for a, b, end in curve.segments:
        if x <= end[0]:
            # All segments but a turn run at an even pace: their control points stand at a third and two thirds.
            t = (x - start[0]) / (end[0] - start[0])
            if abs(bezier(start, a, b, end, t)[0] - x) > 1e-6:
                t = _find(start[0], a[0], b[0], end[0], x)
            return bezier(start, a, b, end, t)[1]
        start = end
    return start[1]


def _find(start: float, a: float, b: float, end: float, x: float) -> float:
    """Return where a segment that runs from left to right is at `x`."""
    low, high = 0.0, 1.0
    for _ in range(16):
        t = (low + high) / 2
        low, high = (t, high) if bezier((start, 0), (a, 0), (b, 0), (end, 0), t)[0] < x else (low, t)
    return high


def _slopes(points: Sequence[Point]) -> list[float]:
    """Return slopes with which no curve between two points leaves their heights.

    Source: Fritsch and Butland, A method for constructing local monotone piecewise cubic interpolants, 1984.
    """
    if len(points) == 1:
        return [0.0]

    secants = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(points)]
    lengths = [b[0] - a[0] for a, b in pairwise(points)]
    inner = [_mean_slope(s, t, d, e) for (s, t), (d, e) in zip(pairwise(secants), pairwise(lengths), strict=True)]
    first, last = (max(-MAX_END_SLOPE, min(MAX_END_SLOPE, secants[n])) for n in (0, -1))
    return [first, *inner, last]


def _mean_slope(s: float, t: float, s_length: float, t_length: float) -> float:
    if s * t <= 0:
        return 0.0
    v, w = 2 * t_length + s_length, t_length + 2 * s_length
    return (v + w) / (v / s + w / t)
