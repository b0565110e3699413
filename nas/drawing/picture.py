"""A picture as coloured shapes and texts, made from positions; a writer only has to write them down."""

import math
from dataclasses import dataclass
from typing import assert_never

from nas.drawing.curves import Curve, Point, bezier, polygon
from nas.drawing.layout import (
    NUMBER_SIZE,
    OUTPUT_RING,
    Connection,
    Label,
    Layout,
    LegendEntry,
    PlacedBlock,
    lay_out,
)
from nas.drawing.outlines import HALF_SIZES, outline_curve
from search_space.kinds import kind_named, kind_names
from search_space.spec import ArchSpec, short_form

LEVEL_COLOURS = {
    1: "#fde725",
    2: "#90d743",
    3: "#35b779",
    4: "#21918c",
    5: "#31688e",
    6: "#443983",
    7: "#440154",
}
"""The viridis map: told apart by the colour-blind, and ever darker, so in grey print too."""
RED, INK, GREY, GUIDE, STRIPE, PAPER = "#e3120b", "#222222", "#777777", "#c9ced6", "#f4f5f7", "#ffffff"
PALE = 0.82
"""Share of white in blocks that reach no output."""
SHORT_WIDTH, LONG_WIDTH, DASH = 2.4, 1.7, (4.0, 3.0)
HEAD_LENGTH, HEAD_HALF_WIDTH = 8.0, 4.0


@dataclass(frozen=True, slots=True)
class Shape:
    """A line or an area; no fill or no stroke where the colour is None."""

    curve: Curve
    fill: str | None = None
    stroke: str | None = None
    stroke_width: float = 1.0
    dash: tuple[float, float] | None = None
    is_closed: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A label with its colour."""

    label: Label
    colour: str = INK


@dataclass(frozen=True, slots=True)
class Picture:
    """Shapes and texts from back to front.

    Attributes:
        description: says in words what is to be seen.
    """

    width: float
    height: float
    description: str
    items: tuple[Shape | Text, ...]


def draw(spec: ArchSpec, title: str = "", *, compact: bool = False) -> Picture:
    """Draw an architecture.

    Args:
        spec: architecture to draw.
        title: text above the picture, none if empty.
        compact: blocks and connections alone, for pictures too small to read text in.
    """
    layout = lay_out(spec, title, compact=compact)
    items: list[Shape | Text] = [_rectangle(0, 0, layout.width, layout.height, PAPER)]
    items += _rows(layout)

    # Pale ones first, then from long to short, so that what matters most lies on top.
    ranked = sorted(layout.connections, key=lambda c: (c.is_live, c.is_short, c.parent - c.child))
    level_of = {block.feature: block.level for block in layout.blocks}
    for connection in ranked:
        items += _arrow(connection, level_of[connection.parent])

    for block in layout.blocks:
        items += _block(block, with_number=not compact)
    for entry in layout.legend:
        items += [*_sign(entry), Text(entry.label)]
    items += [Text(label) for label in layout.labels]

    return Picture(layout.width, layout.height, _describe(spec, title), tuple(items))


def _rows(layout: Layout) -> list[Shape]:
    right = layout.width - 4
    left = layout.left - 4
    shapes = [_rectangle(left, y - 30, right, y + 30, STRIPE) for _, y in layout.rows[::2]]
    x = layout.stem_right
    shapes.append(Shape(polygon((x, layout.rows_top), (x, layout.rows_bottom)), stroke=GUIDE, dash=(2, 4)))
    return shapes


def _block(block: PlacedBlock, *, with_number: bool) -> list[Shape | Text]:
    colour = LEVEL_COLOURS[block.level]
    fill = colour if block.is_live else _mix(colour, PAPER, PALE)
    size = block.half_size - (OUTPUT_RING if block.is_output else 0)
    items: list[Shape | Text] = []

    if block.is_output:
        ring = outline_curve(block.outline, block.x, block.y, block.half_size - 1.25)
        items.append(Shape(ring, fill=PAPER, stroke=RED, stroke_width=2.5, is_closed=True))
        size -= 1

    outline = outline_curve(block.outline, block.x, block.y, size - 0.5)
    edge = _mix(colour, "#000000", 0.35) if block.is_live else _mix(colour, PAPER, 0.4)
    items.append(Shape(outline, fill=fill, stroke=edge, is_closed=True))

    if with_number and block.feature >= 0:
        colour = INK if luminance(fill) > 0.3 else PAPER
        if not block.is_live:
            colour = GREY
        label = Label(str(block.feature), block.x, block.y + 0.36 * NUMBER_SIZE, NUMBER_SIZE, "middle")
        items.append(Text(label, colour))
    return items


def _arrow(connection: Connection, level: int) -> list[Shape]:
    colour, width = (INK, SHORT_WIDTH) if connection.is_short else (_darkened(LEVEL_COLOURS[level]), LONG_WIDTH)
    if not connection.is_live:
        colour = _mix(colour, PAPER, 0.75)
    dash = DASH if connection.kind == "leftover" else None
    halo = Shape(connection.curve, stroke=PAPER, stroke_width=width + 2.4)
    return [halo, *_line(connection.curve, colour, width, dash)]


def _line(curve: Curve, colour: str, width: float, dash: tuple[float, float] | None) -> list[Shape]:
    body, head = _split_head(curve)
    return [Shape(body, stroke=colour, stroke_width=width, dash=dash), Shape(head, fill=colour, is_closed=True)]


def _sign(entry: LegendEntry) -> list[Shape | Text]:
    thin = _darkened(LEVEL_COLOURS[4])
    match entry.sign:
        case "kind":
            return _block_sign(entry)
        case "output":
            return _block_sign(entry, is_output=True)
        case "pale":
            return _block_sign(entry, is_live=False)
        case "short":
            return _line_sign(entry, INK, SHORT_WIDTH)
        case "order":
            return _line_sign(entry, GREY, LONG_WIDTH)
        case "long":
            return _line_sign(entry, thin, LONG_WIDTH)
        case "leftover":
            return _line_sign(entry, thin, LONG_WIDTH, DASH)
        case _:
            assert_never(entry.sign)


def _block_sign(entry: LegendEntry, *, is_output: bool = False, is_live: bool = True) -> list[Shape | Text]:
    half_size = 10.0 + OUTPUT_RING if is_output else HALF_SIZES[entry.outline] * 0.75
    block = PlacedBlock(0, 4, entry.outline, entry.x, entry.y, half_size, is_output, is_live)
    return _block(block, with_number=False)


def _line_sign(
    entry: LegendEntry, colour: str, width: float, dash: tuple[float, float] | None = None
) -> list[Shape | Text]:
    arrow = polygon((entry.x - 20, entry.y), (entry.x + 20, entry.y))
    return [*_line(arrow, colour, width, dash)]


def _describe(spec: ArchSpec, title: str) -> str:
    stem = " ".join(str(block.level) for block in spec.stem)
    outputs = ", ".join(f"P{level}" for level in sorted(spec.output_levels))
    letters = ", ".join(f"{kind.letter}: {kind.name}" for kind in map(kind_named, kind_names()) if kind.letter)
    text = (
        f"stem of levels {stem}, then {len(spec.blocks)} blocks of levels {short_form(spec.blocks)} "
        f"({letters}; behind the bar the outputs {outputs})"
    )
    return f"{title}: {text}" if title else f"Architecture: {text}"


def _rectangle(left: float, top: float, right: float, bottom: float, fill: str) -> Shape:
    corners = polygon((left, top), (right, top), (right, bottom), (left, bottom))
    return Shape(corners, fill=fill, is_closed=True)


def _split_head(curve: Curve) -> tuple[Curve, Curve]:
    """Return the curve up to where its arrow head begins, and the head."""
    start = curve.segments[-2][-1] if len(curve.segments) > 1 else curve.start
    a, b, tip = curve.segments[-1]

    # The head begins where the curve is a head's length from its tip: found by halving.
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        reached = bezier(start, a, b, tip, middle)
        low, high = (middle, high) if math.dist(reached, tip) > HEAD_LENGTH else (low, middle)

    # The part of the segment up to there, by de Casteljau's construction.
    first, second = _lerp(start, a, low), _lerp(a, b, low)
    base = bezier(start, a, b, tip, low)
    length = math.dist(base, tip) or 1.0
    across = ((tip[1] - base[1]) / length * HEAD_HALF_WIDTH, (base[0] - tip[0]) / length * HEAD_HALF_WIDTH)
    head = polygon((base[0] + across[0], base[1] + across[1]), tip, (base[0] - across[0], base[1] - across[1]))

    # A little into the head, so that no gap shows between the two.
    end = _lerp(base, tip, 0.2)
    return Curve(curve.start, (*curve.segments[:-1], (first, _lerp(first, second, low), end))), head


def _lerp(a: Point, b: Point, t: float) -> Point:
    return a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _mix(colour: str, other: str, share: float) -> str:
    mixed = (round(a + share * (b - a)) for a, b in zip(_rgb(colour), _rgb(other), strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _darkened(colour: str) -> str:
    """Return the colour, dark enough for a thin line on white."""
    share = 0.0
    while luminance(_mix(colour, "#000000", share)) > 0.2:
        share += 0.05
    return _mix(colour, "#000000", share)


def luminance(colour: str) -> float:
    """Return relative luminance. Source: WCAG 2.2."""
    linear = [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in _rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
