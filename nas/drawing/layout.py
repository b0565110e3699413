"""The layout of an architecture's picture: positions of blocks, connections and labels."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeAlias

from nas.drawing.curves import Curve
from nas.drawing.outlines import HALF_SIZES
from nas.drawing.routes import Wire, route_wires
from nas.drawing.text import text_width
from search_space.kinds import Outline, kind_named, kind_names
from search_space.spec import NUM_STEM_PARENTS, ArchSpec, BlockSpec, LiveBlock, StemBlock, live_blocks

ConnectionKind: TypeAlias = Literal["stem", "parent", "leftover"]
Sign: TypeAlias = Literal["kind", "output", "pale", "short", "long", "leftover", "order"]
"""Signs that a legend explains: a kind's outline, an output's ring, pale blocks, and lines."""
Anchor: TypeAlias = Literal["start", "middle"]

STEP = 48.0
"""Distance from the centre of one block to that of the next. All lengths are in units of the picture."""
ROW_HEIGHT = 60.0
OUTPUT_RING = 3.5
"""Width of the ring around the block of an output."""
MARGIN = 12.0
HEADROOM = 34.0
"""Height above the highest and below the lowest row, for connections that pass there."""
TITLE_SIZE, LEVEL_SIZE, TEXT_SIZE, NUMBER_SIZE = 22.0, 22.0, 16.0, 15.0


@dataclass(frozen=True, slots=True)
class PlacedBlock:
    """A block of the picture.

    Attributes:
        feature: its number among `ArchSpec.features`; blocks of the stem that cannot be parents have negative ones.
        outline: shape of its kind.
        x, y: the centre.
        half_size: half the width and height of all that is drawn, the outline of an output included.
        is_live: whether it reaches an output.
    """

    feature: int
    level: int
    outline: Outline
    x: float
    y: float
    half_size: float
    is_output: bool
    is_live: bool


@dataclass(frozen=True, slots=True)
class Connection:
    """An arrow from a block to another.

    Attributes:
        kind: `stem` inside the stem, `parent` where it is resampled, `leftover` where it is added as it is.
        is_short: whether it comes from the block just before.
        is_live: whether it reaches an output.
    """

    parent: int
    child: int
    kind: ConnectionKind
    is_short: bool
    is_live: bool
    curve: Curve


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text; `y` is its baseline."""

    text: str
    x: float
    y: float
    size: float
    anchor: Anchor = "start"
    is_bold: bool = False

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom; wide enough for any usual font."""
        width = text_width(self.text, self.size, self.is_bold)
        left = self.x - (width / 2 if self.anchor == "middle" else 0)
        return left, self.y - 0.8 * self.size, left + width, self.y + 0.25 * self.size


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A sign of the picture with its meaning; the sign stands left of the label, its centre at `x`, `y`.

    Attributes:
        outline: shape of the block that is shown, if the sign is one.
    """

    sign: Sign
    outline: Outline
    x: float
    y: float
    label: Label


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole picture as positions.

    Attributes:
        left: left end of the rows, right of their labels.
        stem_right: right end of the stem.
        rows_top, rows_bottom: limits between which blocks and connections are.
        rows: level and height of the centre of each row, from the top.
    """

    width: float
    height: float
    left: float
    stem_right: float
    rows_top: float
    rows_bottom: float
    rows: tuple[tuple[int, float], ...]
    blocks: tuple[PlacedBlock, ...]
    connections: tuple[Connection, ...]
    labels: tuple[Label, ...]
    legend: tuple[LegendEntry, ...]


def lay_out(spec: ArchSpec, title: str = "", *, compact: bool = False) -> Layout:
    """Place everything: blocks from left to right in order of computation, one row a level, the highest level on top.

    Args:
        spec: architecture to draw.
        title: text above the picture; cut where it is longer than the picture; none if empty.
        compact: blocks and connections alone, for pictures too small to read text in. There is no title either.
    """
    live = {block.feature: block for block in live_blocks(spec)}

    # Rows: the highest level on top, below the title and with some height for connections that pass there.
    levels = [*(block.level for block in spec.stem), *(block.level for block in spec.blocks)]
    row_levels = range(max(levels), min(levels) - 1, -1)
    rows_top = MARGIN if compact or not title else MARGIN + TITLE_SIZE + 8
    depth_of = {level: HEADROOM + ROW_HEIGHT * i for i, level in enumerate(row_levels)}
    height_of = {level: rows_top + depth for level, depth in depth_of.items()}
    rows_bottom = height_of[row_levels[-1]] + HEADROOM

    # Columns: one for each block, right of the labels of the rows.
    stride_width = max(text_width(f"stride {2**level}", TEXT_SIZE) for level in row_levels)
    left = MARGIN if compact else MARGIN + stride_width + 10
    width = left + STEP * len(levels) + MARGIN
    stem_right = left + STEP * len(spec.stem)

    # Routes are sought where the rows begin at 0, 0: every picture of an architecture then has the same ones.
    unmoved = _place_blocks(spec, live, depth_of)
    connections = tuple(
        replace(connection, curve=connection.curve.moved(left, rows_top))
        for connection in _connect(spec, live, unmoved, rows_bottom - rows_top)
    )
    blocks = tuple(replace(block, x=left + block.x, y=rows_top + block.y) for block in unmoved)

    labels: tuple[Label, ...] = ()
    legend: tuple[LegendEntry, ...] = ()
    bottom = rows_bottom
    if not compact:
        legend, bottom = _legend(spec, blocks, connections, stem_right, width, rows_bottom)
        labels = _labels(title, height_of, left, stem_right, width, rows_bottom)

    return Layout(
        width=width,
        height=bottom + MARGIN,
        left=left,
        stem_right=stem_right,
        rows_top=rows_top,
        rows_bottom=rows_bottom,
        rows=tuple(height_of.items()),
        blocks=blocks,
        connections=connections,
        labels=labels,
        legend=legend,
    )


def _place_blocks(spec: ArchSpec, live: dict[int, LiveBlock], depth_of: dict[int, float]) -> tuple[PlacedBlock, ...]:
    """Place the blocks of an architecture, from the left end and the upper limit of its rows on."""
    # Blocks of the stem that cannot be parents have negative numbers.
    first_feature = NUM_STEM_PARENTS - len(spec.stem)
    used = {f for block in live.values() for f in (*block.parents, *block.leftovers)}
    everything: tuple[StemBlock | BlockSpec, ...] = (*spec.stem, *spec.blocks)

    placed = []
    for column, block in enumerate(everything):
        feature = first_feature + column
        outline = kind_named(block.kind).outline
        is_output = isinstance(block, BlockSpec) and block.is_output

        # The stem is a chain: what comes before its last two blocks leads to at least one of them.
        is_live = feature in live or (feature < NUM_STEM_PARENTS and any(feature <= f for f in used))
        placed.append(
            PlacedBlock(
                feature=feature,
                level=block.level,
                outline=outline,
                x=STEP * (column + 0.5),
                y=depth_of[block.level],
                half_size=HALF_SIZES[outline] + (OUTPUT_RING if is_output else 0.0),
                is_output=is_output,
                is_live=is_live,
            )
        )
    return tuple(placed)


def _connect(
    spec: ArchSpec, live: dict[int, LiveBlock], blocks: tuple[PlacedBlock, ...], rows_height: float
) -> tuple[Connection, ...]:
    column_of = {block.feature: column for column, block in enumerate(blocks)}

    # Blocks that are not built show their parents all the same, pale; the leftover rule is for built ones alone.
    ends: list[tuple[int, int, ConnectionKind]] = []
    for stem_block in blocks[1 : len(spec.stem)]:
        ends.append((stem_block.feature - 1, stem_block.feature, "stem"))
    for i, block in enumerate(spec.blocks):
        feature = NUM_STEM_PARENTS + i
        ends += [(parent, feature, "parent") for parent in block.parents]
        if feature in live:
            ends += [(leftover, feature, "leftover") for leftover in live[feature].leftovers]

    wires = tuple(Wire(column_of[parent], column_of[child]) for parent, child, _ in ends)
    curves = _routes(blocks, wires, rows_height)

    return tuple(
        Connection(
            parent=parent,
            child=child,
            kind=kind,
            is_short=wire.end == wire.start + 1,
            is_live=blocks[wire.end].is_live,
            curve=curve,
        )
        for (parent, child, kind), wire, curve in zip(ends, wires, curves, strict=True)
    )


# A report draws each of its architectures twice, small and large, and to find the routes takes most of the time.
@lru_cache(maxsize=64)
def _routes(blocks: tuple[PlacedBlock, ...], wires: tuple[Wire, ...], rows_height: float) -> tuple[Curve, ...]:
    return route_wires(blocks, wires, 0.0, rows_height)


def _labels(
    title: str, height_of: dict[int, float], left: float, stem_right: float, width: float, rows_bottom: float
) -> tuple[Label, ...]:
    labels = []
    if title:
        shown = _cut(title, width - 2 * MARGIN, TITLE_SIZE)
        labels.append(Label(shown, MARGIN, MARGIN + 0.8 * TITLE_SIZE, TITLE_SIZE, is_bold=True))

    for level, y in height_of.items():
        labels.append(Label(f"L{level}", MARGIN, y - 3, LEVEL_SIZE, is_bold=True))
        labels.append(Label(f"stride {2**level}", MARGIN, y + TEXT_SIZE, TEXT_SIZE))

    baseline = rows_bottom + 1.1 * TEXT_SIZE
    labels.append(Label("stem", (left + stem_right) / 2, baseline, TEXT_SIZE, "middle"))
    return tuple(labels)


def _legend(
    spec: ArchSpec,
    blocks: tuple[PlacedBlock, ...],
    connections: tuple[Connection, ...],
    stem_right: float,
    width: float,
    rows_bottom: float,
) -> tuple[tuple[LegendEntry, ...], float]:
    """Explain the signs that the picture has, in as many lines as they need; also return where that ends."""
    usual = blocks[0].outline

    # The order of computation stands beside the stem's label, all else below.
    x, y = stem_right + 8, rows_bottom + 0.75 * TEXT_SIZE
    order = Label("order of computation", x + 48, y + 0.35 * TEXT_SIZE, TEXT_SIZE)
    placed = [LegendEntry("order", usual, x + 20, y, order)]

    entries: list[tuple[Sign, Outline, str]] = []
    shown = {block.kind for block in spec.stem} | {block.kind for block in spec.blocks}
    entries += [("kind", kind_named(name).outline, name) for name in kind_names() if name in shown]
    entries.append(("output", usual, "output"))
    if not all(block.is_live for block in blocks):
        entries.append(("pale", usual, "reaches no output"))
    entries.append(("short", usual, "from the block before"))
    if any(not connection.is_short for connection in connections):
        entries.append(("long", usual, "from further back"))
    if any(connection.kind == "leftover" for connection in connections):
        entries.append(("leftover", usual, "leftover, added as it is"))

    x, y = MARGIN, rows_bottom + 2.75 * TEXT_SIZE
    for sign, outline, text in entries:
        sign_width = 40.0 if sign in ("short", "long", "leftover") else 24.0
        entry_width = sign_width + 8 + text_width(text, TEXT_SIZE)
        if x > MARGIN and x + entry_width > width - MARGIN:
            x, y = MARGIN, y + 1.9 * TEXT_SIZE

        label = Label(text, x + sign_width + 8, y + 0.35 * TEXT_SIZE, TEXT_SIZE)
        placed.append(LegendEntry(sign, outline, x + sign_width / 2, y, label))
        x += entry_width + 22

    return tuple(placed), y + TEXT_SIZE


def _cut(text: str, width: float, size: float) -> str:
    """Return a bold text, cut where it would be wider than `width`."""
    if text_width(text, size, is_bold=True) <= width:
        return text
    while text and text_width(text + "\N{HORIZONTAL ELLIPSIS}", size, is_bold=True) > width:
        text = text[:-1]
    return text.rstrip() + "\N{HORIZONTAL ELLIPSIS}"
