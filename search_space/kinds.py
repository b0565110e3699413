"""The block kinds: one table that spaces, networks, the landscape and drawings read."""

import re
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Literal, TypeAlias, get_args

from foundation import check_range

MIN_LEVEL, MAX_LEVEL = 1, 7
"""The levels that a block may have; level `l` has stride `2**l` px."""

ENTRY_POINTS = "spinenet_search.block_kinds"
"""Group of the entry points by which installed packages offer kinds: the kind's name, and `module:VALUE`."""

KIND_HINT = "a kind of your own is named with block_kinds.NAME=MODULE.VALUE"

Outline: TypeAlias = Literal["square", "diamond", "circle", "octagon", "cross"]
"""The shape of a block in pictures; the package's own kinds leave the last two to others."""


@dataclass(frozen=True, slots=True)
class Family:
    """Kinds that can stand in one network.

    Attributes:
        name: the family's word in messages.
        stem_level: level of the feature that the stem's first block reads.
        widths: `ModelScale.block_width` at scale 1 of the levels 1 to 7, in order.
    """

    name: str
    stem_level: int
    widths: tuple[int, ...]

    def width(self, level: int) -> int:
        """Return the width of a block at scale 1."""
        return self.widths[level - MIN_LEVEL]


# Channels of the 3x3 convolutions: tensorflow/tpu FILTER_SIZE_MAP; levels 5 to 7 as level 4, section 5.1 of the paper.
RESNET = Family("resnet", stem_level=2, widths=(32, 64, 128, 256, 256, 256, 256))
"""Blocks that ResNets are made of; the stem begins after a strided convolution and a pool."""
# Channels that a block reads and writes: appendix A of the paper.
MOBILE = Family("mobile", stem_level=1, widths=(16, 24, 40, 80, 112, 112, 112))
"""Inverted bottlenecks; the stem begins after a strided convolution."""
FAMILIES = (RESNET, MOBILE)


@dataclass(frozen=True, slots=True)
class BlockKind:
    """One entry of the table: all that the project knows of a kind of block.

    Attributes:
        name: the kind's word in specs, options and tables: small letters, digits and `_`.
        family: which kinds it can stand among, and its widths; `RESNET` or `MOBILE`.
        letter: marks the kind in the short form of an architecture, behind the level; empty for a family's usual kind.
        outline: shape of its blocks in pictures.
        expansion: channels that a block reads and writes, for each of its width.
        cost: weights of a unit in units of `width**2`; the landscape counts with them.
        unit: import path, as `package.module.Class`, of the `nn.Module` that a block is a chain of. It is called as
            `Class(c_in, width, stride, style, skip_rate)`: channels read, the block's width, the stride in pixels, the
            network's `LayerStyle`, and the share of samples that skip the unit in training. It maps
            (B, c_in, H, W) to (B, expansion * width, ceil(H / stride), ceil(W / stride)).

    Raises:
        ValueError: a value that none of its readers could use.
    """

    name: str
    family: Family
    letter: str
    outline: Outline
    expansion: int
    cost: float
    unit: str

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"a kind's name must be small letters, digits and _, got {self.name!r}")
        if self.family not in FAMILIES:
            families = " or ".join(family.name for family in FAMILIES)
            raise ValueError(f"kind {self.name}: family must be {families}, got {self.family.name!r}")
        if not re.fullmatch("[a-z]?", self.letter):
            raise ValueError(f"kind {self.name}: letter must be one small letter or empty, got {self.letter!r}")
        if self.outline not in get_args(Outline):
            raise ValueError(
                f"kind {self.name}: outline must be one of {', '.join(get_args(Outline))}, got {self.outline!r}"
            )

        check_range(f"kind {self.name}: expansion", self.expansion, 1, 64, "a bottleneck has 4")
        check_range(f"kind {self.name}: cost", self.cost, 1e-3, 1e6, "a bottleneck has 17")
        # The class itself is looked up where a network is built: search spaces do without torch.
        if not all(part.isidentifier() for part in self.unit.split(".")) or "." not in self.unit:
            raise ValueError(f"kind {self.name}: unit must be a path as package.module.Class, got {self.unit!r}")


BOTTLENECK = BlockKind(
    "bottleneck", RESNET, "", "square", expansion=4, cost=17, unit="proxy_tasks.networks.blocks.BottleneckUnit"
)
RESIDUAL = BlockKind(
    "residual", RESNET, "r", "diamond", expansion=1, cost=18, unit="proxy_tasks.networks.blocks.ResidualUnit"
)
MBCONV = BlockKind("mbconv", MOBILE, "", "circle", expansion=1, cost=18, unit="proxy_tasks.networks.blocks.MBConvUnit")

OWN_KINDS = (BOTTLENECK, RESIDUAL, MBCONV)
"""The kinds that come with the package."""

_TABLE = {kind.name: kind for kind in OWN_KINDS}
"""Every kind that specs may name, by name.

It belongs to the process, not to a run: specs are plain words and are checked wherever they are read, from files,
journals and messages alike, where no table can be handed on. A worker process adds `added_kinds()` of its
driver first.
"""


def kind_named(name: str) -> BlockKind:
    """Return the kind of that name; one that an installed package offers is imported and added when first asked for.

    Raises:
        ValueError: there is none, or it cannot be added; the message lists those there are, or says why.
    """
    kind = _TABLE.get(name) or installed_kind(name)
    if kind is None:
        raise ValueError(f"kind must be one of {', '.join(_TABLE)}, got {name!r}; {KIND_HINT}")
    return kind


def kind_names() -> tuple[str, ...]:
    """Return the names of all kinds, the package's own first."""
    return tuple(_TABLE)


def add_kind(kind: BlockKind) -> None:
    """Let specs name a kind from outside the package; nothing happens where the same kind is there already.

    Raises:
        ValueError: another kind has its name or its letter.
    """
    # A worker is sent the same kinds with every job.
    if _TABLE.get(kind.name) == kind:
        return

    if kind.name in _TABLE:
        raise ValueError(f"kind {kind.name}: the name is taken by another kind")
    # With one letter for two kinds, different architectures would have one short form.
    for other in _TABLE.values():
        if other.letter == kind.letter:
            raise ValueError(f"kind {kind.name}: {other.name} has the letter {kind.letter!r}")

    _TABLE[kind.name] = kind


def installed_kind(name: str) -> BlockKind | None:
    """Return the kind that an installed package offers under a name, added to the table; None where none does.

    Raises:
        ValueError: it cannot be imported, is no kind of that name, or cannot be added.
    """
    for point in entry_points(group=ENTRY_POINTS, name=name):
        offered = f"kind {name}, which {point.dist.name if point.dist else 'an installed package'} offers,"
        try:
            kind = point.load()
        except Exception as error:  # whatever the code of others does
            raise ValueError(f"{offered} cannot be imported from {point.value}: {error}") from error
        if not isinstance(kind, BlockKind) or kind.name != name:
            raise ValueError(f"{offered} is no BlockKind of that name: {point.value}")
        add_kind(kind)
        return kind
    return None


def remove_kind(name: str) -> None:
    """Take an added kind out again; the package's own stay. Specs that name it become unreadable."""
    if name in {kind.name for kind in OWN_KINDS}:
        raise ValueError(f"kind {name} belongs to the package")
    _TABLE.pop(name, None)


def added_kinds() -> tuple[BlockKind, ...]:
    """Return the kinds that do not come with the package, which workers have to be sent."""
    return tuple(kind for kind in _TABLE.values() if kind not in OWN_KINDS)
