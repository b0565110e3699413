"""The routes of connections: around the blocks that are in between, and apart from each other."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nas.drawing.curves import Curve, Point, Side, height_at, smooth_curve
from nas.drawing.outlines import outline_reach
from search_space.kinds import Outline

CLEARANCE, SIDE_CLEARANCE = 6.0, 2.5
"""Free space above and below a block that a connection passes, and left and right of it."""
GRID = 3.0
"""Distance between the heights that a connection may take, before it is smoothed."""
LANE = 9.0
"""Distance below which connections push each other away."""
CROWDING = 25.0
"""Cost of running on top of another connection, where a bend by `d` over a length `l` costs `d * d / l`."""
TURN, MIN_DROP = 20.0, 10.0
"""Cost of entering a block from above or below, and the least height from which that is done."""
PORT_SPACE, MAX_SHIFT = 6.0, 9.0
"""Distance between two connections at one side of a block, and the largest distance from its middle."""
SIDES: tuple[Side, ...] = ("left", "top", "bottom")
NUM_SMOOTHINGS = 6
TOLERANCE = 6.0
"""Largest distance of a curve from the heights that were found."""
NUM_PASSES = 4
"""Number of times that every connection is routed, given where the others are."""


class Obstacle(Protocol):
    """A block as far as connections care; one to a column, in order."""

    @property
    def outline(self) -> Outline:
        """Its shape."""

    @property
    def x(self) -> float:
        """Horizontal position of its centre."""

    @property
    def y(self) -> float:
        """Height of its centre."""

    @property
    def half_size(self) -> float:
        """Half its width and height."""


@dataclass(frozen=True, slots=True)
class Wire:
    """The two columns that a connection joins; `start` lies left of `end`."""

    start: int
    end: int


def route_wires(blocks: Sequence[Obstacle], wires: Sequence[Wire], top: float, bottom: float) -> tuple[Curve, ...]:
    """Return a curve for each wire, between the heights `top` and `bottom`.

    A curve is a height at each of a few stops: left of, over and right of every block that it passes, and between two
    blocks. The heights are those that cost least, exactly: bends cost, and so do other connections nearby. As they move
    each other, all are routed several times.
    """
    router = _Router(blocks, wires, top, bottom)

    # Short ones first: they have the fewest ways to go.
    order = sorted(range(len(wires)), key=lambda i: (wires[i].end - wires[i].start, i))
    for _ in range(NUM_PASSES):
        for i in order:
            router.route(i)
        router.spread_ends()

    return tuple(router.curve(i) for i in range(len(wires)))


@dataclass(slots=True)
class _Route:
    """One connection while it is being improved.

    Attributes:
        heights: at each stop, from the gap behind its first block to the gap before its last; empty at first.
        side: side on which it enters its last block.
        start_shift: distance from the middle of its first block's side to where it leaves.
        end_shift: distance from the middle of that side to where it enters.
    """

    heights: list[float]
    side: Side = "left"
    start_shift: float = 0.0
    end_shift: float = 0.0


_GAP = 3
"""The last of the four stops of a column, half way to the next block."""


class _Router:
    """All connections of a picture while they are being improved.

    Stops are numbered: column `k` has `4 * k` (left of the block), `+ 1` (its centre), `+ 2` (right of it) and `+ 3`
    (half way to the next block).
    """

    def __init__(self, blocks: Sequence[Obstacle], wires: Sequence[Wire], top: float, bottom: float) -> None:
        self._blocks = blocks
        self._wires = wires
        self._routes = [_Route([]) for _ in wires]
        self._grid: NDArray[np.float64] = np.arange(top + GRID, bottom, GRID)
        self._moves = np.square(self._grid[:, None] - self._grid[None, :])
        self._users: dict[int, set[int]] = defaultdict(set)

    def route(self, i: int) -> None:
        """Find the cheapest way of wire `i`, given the others."""
        wire, route = self._wires[i], self._routes[i]
        x, y = self._start(i)
        stops = self._stops(wire)

        # A dynamic programme over stops. A way's cost is a sum over neighbouring stops, so for each of the G heights of
        # the grid it is enough to know the cheapest way that leads there: its cost, and the height before it.
        came_from = []
        costs: NDArray[np.float64] = np.zeros(0)
        for n, stop in enumerate(stops):
            distance = self._stop_x(stop) - x
            x += distance
            if n == 0:
                costs = np.square(self._grid - y) / distance
            else:
                moved = costs[:, None] + self._moves / distance  # (G, G), from and to
                best = moved.argmin(axis=0)  # (G,)
                came_from.append(best)
                costs = moved[best, np.arange(len(best))]
            costs = costs + self._stop_costs(stop, i)

        # Back from the cheapest ending to where its way came from.
        endings = {side: costs + self._end_costs(i, side) for side in SIDES}
        route.side = min(SIDES, key=lambda side: float(endings[side].min()))
        level = int(endings[route.side].argmin())
        heights = [float(self._grid[level])]
        for best in reversed(came_from):
            level = int(best[level])
            heights.append(float(self._grid[level]))
        route.heights = heights[::-1]

        # From now on the wires that are routed after this one keep away from it here.
        for stop in stops:
            self._users[stop].add(i)

    def spread_ends(self) -> None:
        """Spread the connections that leave or enter a block on one side, in the order that crosses least."""
        leaving: dict[int, list[int]] = defaultdict(list)
        entering: dict[tuple[int, Side], list[int]] = defaultdict(list)
        for i, (wire, route) in enumerate(zip(self._wires, self._routes, strict=True)):
            leaving[wire.start].append(i)
            entering[wire.end, route.side].append(i)

        for group in leaving.values():
            group.sort(key=lambda i: (self._routes[i].heights[0], self._target(i)))
            # What runs straight on leaves from the middle.
            y = self._blocks[self._wires[group[0]].start].y
            middle = min(range(len(group)), key=lambda n: abs(self._routes[group[n]].heights[0] - y))
            for i, shift in zip(group, _shifts(len(group), middle), strict=True):
                self._routes[i].start_shift = shift

        for (_, side), group in entering.items():
            # From above, the highest comes in furthest to the right, so that it runs around the others.
            group.sort(key=lambda i: self._routes[i].heights[-1], reverse=side == "top")
            for i, shift in zip(group, _shifts(len(group), (len(group) - 1) / 2), strict=True):
                self._routes[i].end_shift = shift

    def curve(self, i: int) -> Curve:
        """Return the way of wire `i` as a smooth curve, through as few of its stops as it needs."""
        wire, side = self._wires[i], self._routes[i].side
        end = self._end(i, side)
        points = self._smoothed(i)
        passed = list(zip(self._stops(wire), points[1:], strict=True))
        kept = points

        # A stop is left out where the curve without it still passes all stops well. From the middle on, where a
        # connection is furthest from what fixes its ends.
        for point in sorted(points[1:], key=lambda p: abs(p[0] - (points[0][0] + end[0]) / 2)):
            fewer = smooth_curve([p for p in kept if p != point], end, side)
            if all(self._may_pass(stop, p, height_at(fewer, p[0])) for stop, p in passed):
                kept = [p for p in kept if p != point]

        return smooth_curve(kept, end, side)

    def _may_pass(self, stop: int, point: Point, height: float) -> bool:
        low, high = self._bounds(stop, point[1])
        return abs(height - point[1]) <= TOLERANCE and low - 0.01 <= height <= high + 0.01

    def _smoothed(self, i: int) -> list[Point]:
        """Return the start and the stops of wire `i`, their heights evened out as far as the blocks allow."""
        wire, route = self._wires[i], self._routes[i]
        stops = self._stops(wire)
        xs = [self._start(i)[0], *(self._stop_x(stop) for stop in stops)]
        ys = [self._start(i)[1], *route.heights]
        bounds = [(-np.inf, np.inf)]
        bounds += [self._bounds(stop, y) for stop, y in zip(stops, route.heights, strict=True)]

        # An entry from the left is one more point of the line; a turn from above or below is added to the curve later.
        if route.side == "left":
            x, y = self._end(i, "left")
            xs, ys, bounds = [*xs, x], [*ys, y], [*bounds, (-np.inf, np.inf)]

        # Each height moves half way towards the straight line between its neighbours.
        for _ in range(NUM_SMOOTHINGS):
            for n in range(1, len(xs) - 1):
                share = (xs[n] - xs[n - 1]) / (xs[n + 1] - xs[n - 1])
                straight = ys[n - 1] + share * (ys[n + 1] - ys[n - 1])
                ys[n] = float(np.clip((ys[n] + straight) / 2, *bounds[n]))

        points = list(zip(xs, ys, strict=True))
        return points[:-1] if route.side == "left" else points

    def _stops(self, wire: Wire) -> range:
        return range(4 * wire.start + 3, 4 * wire.end)

    def _stop_x(self, stop: int) -> float:
        column, quarter = divmod(stop, 4)
        block = self._blocks[column]
        if quarter == _GAP:
            return (block.x + self._blocks[column + 1].x) / 2
        return block.x + (quarter - 1) * (block.half_size + SIDE_CLEARANCE)

    def _bounds(self, stop: int, height: float) -> tuple[float, float]:
        """Return between which heights a connection can move that passes the stop at this one."""
        column, quarter = divmod(stop, 4)
        if quarter == _GAP:
            return -np.inf, np.inf

        block = self._blocks[column]
        reach = block.half_size + CLEARANCE
        return (-np.inf, block.y - reach) if height < block.y else (block.y + reach, np.inf)

    def _stop_costs(self, stop: int, i: int) -> NDArray[np.float64]:
        """Return what each height costs at a stop: too near a block, or to another connection."""
        costs = np.zeros_like(self._grid)  # (G,)
        column, quarter = divmod(stop, 4)
        if quarter != _GAP:
            block = self._blocks[column]
            free = np.abs(self._grid - block.y) - block.half_size
            costs = np.where(free < CLEARANCE, np.inf, CROWDING * np.maximum(0, 2 - free / CLEARANCE))

        # Its own way of the pass before does not push it. A wire's heights begin at its first stop, see `_stops`.
        others = sorted(self._users[stop] - {i})
        if others:
            heights = np.array([self._routes[n].heights[stop - 4 * self._wires[n].start - 3] for n in others])
            nearness = np.maximum(0, 1 - np.abs(self._grid - heights[:, None]) / LANE)  # (others, G)
            costs = costs + CROWDING * np.square(nearness).sum(axis=0)

        return costs

    def _end_costs(self, i: int, side: Side) -> NDArray[np.float64]:
        """Return what it costs to enter the last block on this side from each height in the gap before it."""
        x, y = self._end(i, side)
        start_x = self._stop_x(4 * self._wires[i].end - 1)
        if side == "left":
            return np.square(self._grid - y) / (x - start_x)
        drop = (y - self._grid) * (1 if side == "top" else -1)
        return np.where(drop < MIN_DROP, np.inf, TURN + drop)

    def _target(self, i: int) -> float:
        return self._blocks[self._wires[i].end].y

    def _start(self, i: int) -> Point:
        block, shift = self._blocks[self._wires[i].start], self._routes[i].start_shift
        return block.x + outline_reach(block.outline, block.half_size, shift), block.y + shift

    def _end(self, i: int, side: Side) -> Point:
        block, shift = self._blocks[self._wires[i].end], self._routes[i].end_shift
        reach = outline_reach(block.outline, block.half_size, shift)
        if side == "left":
            return block.x - reach, block.y + shift
        return block.x + shift, block.y + (-reach if side == "top" else reach)


def _shifts(count: int, middle: float) -> list[float]:
    """Return how far from the middle of a side each of `count` ends stands, that of number `middle` at 0."""
    space = min(PORT_SPACE, MAX_SHIFT / max(1, middle, count - 1 - middle))
    return [space * (n - middle) for n in range(count)]
