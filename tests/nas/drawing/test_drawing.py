"""Pictures of architectures: everything is there, and nothing stands on anything else."""

import io
import re
from collections import Counter
from functools import cache
from itertools import combinations, pairwise
from typing import TypeAlias, get_args
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from nas.drawing import architecture_svg, draw, to_png, to_svg
from nas.drawing.layout import Layout, PlacedBlock, lay_out
from nas.drawing.outlines import outline_curve, outline_reach
from nas.drawing.picture import LEVEL_COLOURS, Shape, luminance
from nas.drawing.svg import NAMESPACE
from search_space import (
    ArchSpec,
    BlockSpec,
    ScalePermutedSpace,
    StemBlock,
    published_names,
    published_spec,
    resnet_seed,
)
from search_space.kinds import Outline
from search_space.spec import NUM_STEM_PARENTS, live_blocks

Box: TypeAlias = tuple[float, float, float, float]

SPACES = {
    "spinenet": ScalePermutedSpace(resnet_seed("r0-sp53")),
    "free": ScalePermutedSpace(resnet_seed("r0-sp53"), window=None),
    "mobile": ScalePermutedSpace(published_spec("spinenet-mobile-49"), level_offsets=(), kinds=(), window=None),
}

NUM_RANDOM = {"spinenet": 12, "mobile": 4, "free": 2}


@cache
def laid_out(spec: ArchSpec) -> Layout:
    return lay_out(spec, "A title that is somewhat longer than the picture " * 5)


def random_spec(space: str, seed: int) -> ArchSpec:
    return SPACES[space].decode(SPACES[space].sample(np.random.default_rng(seed))).spec


def everything_in_one(num_blocks: int = 24) -> ArchSpec:
    """A chain in which the first block feeds all others: more ends at one block than it has room for."""
    levels = [2 + (5 * i) % 6 for i in range(num_blocks)]
    blocks = [BlockSpec(level, "residual", (0, i + 1)) for i, level in enumerate(levels)]
    blocks[-1] = BlockSpec(levels[-1], "residual", tuple(range(num_blocks + 1)), True)
    return ArchSpec((StemBlock(2), StemBlock(2)), tuple(blocks))


SPECS = [
    *(pytest.param(published_spec(name), id=name) for name in published_names()),
    *(
        pytest.param(random_spec(space, seed), id=f"{space}-{seed}")
        for space, count in NUM_RANDOM.items()
        for seed in range(count)
    ),
    pytest.param(everything_in_one(), id="everything-in-one"),
]


def block_box(block: PlacedBlock) -> Box:
    size = block.half_size
    return block.x - size, block.y - size, block.x + size, block.y + size


def do_overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def text_boxes(layout: Layout) -> list[Box]:
    return [label.box for label in layout.labels] + [entry.label.box for entry in layout.legend]


@pytest.mark.parametrize("spec", SPECS)
def test_nothing_overlaps(spec: ArchSpec) -> None:
    layout = laid_out(spec)
    boxes = [block_box(block) for block in layout.blocks]
    texts = text_boxes(layout)
    assert not [pair for pair in combinations([*boxes, *texts], 2) if do_overlap(*pair)]
    for left, top, right, bottom in [*boxes, *texts]:
        assert left >= 0
        assert top >= 0
        assert right <= layout.width
        assert bottom <= layout.height
    for connection in layout.connections:
        others = [
            b
            for f, b in zip(layout.blocks, boxes, strict=True)
            if f.feature not in (connection.parent, connection.child)
        ]
        for x, y in connection.curve.sample(16):
            assert layout.rows_top <= y <= layout.rows_bottom
            hit = [box for box in [*others, *texts] if do_overlap((x, y, x, y), box)]
            assert not hit, (connection.parent, connection.child, x, y)


@pytest.mark.parametrize("spec", SPECS)
def test_every_connection_is_drawn_once(spec: ArchSpec) -> None:
    layout = laid_out(spec)
    drawn = Counter((c.parent, c.child, c.kind) for c in layout.connections)
    first = NUM_STEM_PARENTS - len(spec.stem)
    expected = [(f - 1, f, "stem") for f in range(first + 1, NUM_STEM_PARENTS)]
    for i, given in enumerate(spec.blocks):
        expected += [(parent, NUM_STEM_PARENTS + i, "parent") for parent in given.parents]
    for live in live_blocks(spec):
        expected += [(leftover, live.feature, "leftover") for leftover in live.leftovers]
    assert drawn == Counter(expected)
    live_features = {block.feature for block in live_blocks(spec)}
    assert {b.feature for b in layout.blocks if b.is_live and b.feature >= NUM_STEM_PARENTS} == live_features
    placed = {block.feature: block for block in layout.blocks}
    for connection in layout.connections:
        points = connection.curve.sample(1)
        for (x, y), block in ((points[0], placed[connection.parent]), (points[-1], placed[connection.child])):
            left, top, right, bottom = block_box(block)
            assert left - 0.01 <= x <= right + 0.01
            assert top - 0.01 <= y <= bottom + 0.01
        assert connection.is_short == (placed[connection.child].feature == placed[connection.parent].feature + 1)


@pytest.mark.parametrize("spec", SPECS[:30])
def test_curves_run_from_left_to_right(spec: ArchSpec) -> None:
    for connection in laid_out(spec).connections:
        assert all(a[0] <= b[0] + 1e-6 for a, b in pairwise(connection.curve.sample()))


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("spec", SPECS[:30])
def test_svg_is_well_formed_and_clashes_with_no_other(spec: ArchSpec, compact: bool) -> None:
    text = architecture_svg(spec, "mine", compact=compact)
    root = ElementTree.fromstring(text)
    assert root.tag == f"{{{NAMESPACE}}}svg"
    assert root.get("role") == "img"
    assert next(iter(root)).tag == f"{{{NAMESPACE}}}title"
    assert {child.tag.rpartition("}")[2] for child in root} <= {"title", "path", "text"}
    names = {name for element in root.iter() for name in element.attrib}
    assert not names & {"id", "class", "style", "href"}
    assert not re.search(r"url\(|<!|<\?|nan|inf\b", text)
    assert text.count("http") == 1  # the namespace, which nothing loads
    assert len(text.encode()) < 60_000
    assert (root.find(f"{{{NAMESPACE}}}text") is None) == compact


def test_text_is_escaped() -> None:
    title = "</title><script>alert('&\"')</script>\x00\x1b\ud800"
    text = architecture_svg(published_spec("spinenet-49"), title)
    root = ElementTree.fromstring(text.encode())
    assert "<script" not in text
    shown = [element.text for element in root.iter(f"{{{NAMESPACE}}}text")]
    assert "</title><script>alert('&\"')</script>\ufffd\ufffd\ufffd" in shown


def test_what_is_to_be_seen_is_said() -> None:
    root = ElementTree.fromstring(architecture_svg(published_spec("spinenet-49"), "mine", compact=True))
    assert root.findtext(f"{{{NAMESPACE}}}title") == (
        "mine: stem of levels 2 2, then 15 blocks of levels 2 4r 3 4 6r 4 5r 7r 5 5|4 3 5 7 6 "
        "(r: residual; behind the bar the outputs P3, P4, P5, P6, P7)"
    )


def test_leftovers_are_dashed_and_dead_blocks_pale() -> None:
    # Block 2 reaches no output; block 3 is left over and joins the output of its level.
    blocks = (
        BlockSpec(6, "bottleneck", (0, 1)),
        BlockSpec(4, "bottleneck", (0, 1)),
        BlockSpec(4, "bottleneck", (0, 1), True),
    )
    spec = ArchSpec((StemBlock(2), StemBlock(2)), blocks)
    layout = lay_out(spec)
    assert [block.feature for block in layout.blocks if not block.is_live] == [2]
    assert [(c.parent, c.child) for c in layout.connections if c.kind == "leftover"] == [(3, 4)]
    assert [(c.parent, c.child) for c in layout.connections if not c.is_live] == [(0, 2), (1, 2)]
    assert [(entry.sign, entry.label.text) for entry in layout.legend] == [
        ("order", "order of computation"),
        ("kind", "bottleneck"),
        ("output", "output"),
        ("pale", "reaches no output"),
        ("short", "from the block before"),
        ("long", "from further back"),
        ("leftover", "leftover, added as it is"),
    ]
    dashed = [
        item
        for item in draw(spec, compact=True).items
        if isinstance(item, Shape) and item.dash and item.stroke_width > 1
    ]
    assert len(dashed) == 1
    assert to_svg(draw(spec)).count(f'fill="{LEVEL_COLOURS[6]}"') == 0


def test_a_stem_block_that_nothing_reads_is_pale() -> None:
    spec = ArchSpec((StemBlock(2), StemBlock(2)), (BlockSpec(3, "bottleneck", (0,), True),))
    assert [block.is_live for block in lay_out(spec).blocks] == [True, False, True]


def test_levels_differ_in_grey_print() -> None:
    values = [luminance(LEVEL_COLOURS[level]) for level in sorted(LEVEL_COLOURS)]
    assert values == sorted(values, reverse=True)
    # Contrast of neighbours, as WCAG computes it.
    assert min((a + 0.05) / (b + 0.05) for a, b in pairwise(values)) > 1.25


@pytest.mark.parametrize("width_px", [100, 400, 1601])
def test_png_has_the_width_asked_for(width_px: int) -> None:
    picture = draw(published_spec("spinenet-mobile-49"), "mine")
    with Image.open(io.BytesIO(to_png(picture, width_px))) as image:
        assert image.format == "PNG"
        assert image.width == width_px
        assert image.height == round(width_px * picture.height / picture.width)
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 20


def test_the_same_spec_gives_the_same_picture() -> None:
    spec = random_spec("spinenet", 5)
    assert architecture_svg(spec, "a") == architecture_svg(spec, "a")


@pytest.mark.parametrize("outline", get_args(Outline))
def test_curves_meet_the_outline_that_is_drawn(outline: Outline) -> None:
    drawn = outline_curve(outline, 0, 0, 15).sample(400)
    turned = [(y, x) for x, y in drawn]
    for shift in (0.0, 4.0, -7.0, 8.8):
        reach = outline_reach(outline, 15, shift)
        for points in (drawn, turned):
            # Cubic segments are off a circle by 0.03 % of its radius.
            assert crossings(points, shift) == pytest.approx((-reach, reach), abs=0.005)


def crossings(points: list[tuple[float, float]], height: float) -> tuple[float, float]:
    """Return where a closed line first and last crosses a height."""
    found = []
    for (x, y), (next_x, next_y) in pairwise([*points, points[0]]):
        if min(y, next_y) <= height <= max(y, next_y) and y != next_y:
            found.append(x + (height - y) / (next_y - y) * (next_x - x))
    return min(found), max(found)
