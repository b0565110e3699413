"""Architectures as plain values: their blocks, with levels, kinds and parents."""

import hashlib
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib import import_module

from search_space.kinds import MAX_LEVEL, MIN_LEVEL, Family, kind_named

SHORT_KEY_LENGTH = 6
"""Digits of a key that people are shown; that any two of a thousand architectures share them has a chance of 3 %."""
NUM_STEM_PARENTS = 2
"""Number of stem blocks, counted from the stem's end, that may be parents (m in the paper, section 3.1)."""
_DRAWN_BY = "nas.drawing"
"""Module of the function that draws specs, looked up when a notebook shows one: a spec itself knows no pictures."""
_MAX_SHOWN = 80
MAX_BLOCKS = 256
"""Most blocks of a stem, and of the network behind it; SpineNet-49 has 15."""
MAX_PARENTS = 32
"""Most parents of a block, of which the paper has two: each is a resampling of its own."""


@dataclass(frozen=True, slots=True)
class StemBlock:
    """One block of the fixed, scale-decreased stem; it reads the block before it."""

    level: int
    kind: str = "bottleneck"

    def __post_init__(self) -> None:
        _check_level_and_kind(self.level, self.kind)


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """One block of the scale-permuted network.

    Attributes:
        level: the feature map has stride `2**level` px.
        kind: which layers the block is made of: a name out of `search_space.kinds`.
        parents: features that are resampled and added to make the block's input. Feature 0 and 1 are the last two
            stem blocks, feature `i + 2` is block `i`. Kept in ascending order: a sum has no order.
        is_output: whether the detector reads this block.
    """

    level: int
    kind: str
    parents: tuple[int, ...]
    is_output: bool = False

    def __post_init__(self) -> None:
        _check_level_and_kind(self.level, self.kind)
        if not self.parents or len(set(self.parents)) != len(self.parents):
            raise ValueError(f"parents must be one or more different features, got {list(self.parents)}")
        if len(self.parents) > MAX_PARENTS:
            raise ValueError(
                f"parents must be at most {MAX_PARENTS} (each is resampled; the paper has 2), got {len(self.parents)}"
            )
        object.__setattr__(self, "parents", tuple(sorted(self.parents)))


@dataclass(frozen=True, slots=True)
class ArchSpec:
    """The topology of one architecture: which blocks exist, their levels, kinds and parents.

    Args:
        stem: at least two blocks, levels from 2 on (from 1 on in a mobile network) and never decreasing. The last two
            can be parents.
        blocks: in order of computation; a parent comes before its child. One or more are outputs, one a level.
            All blocks, the stem's too, are of kinds of one family.

    Raises:
        ValueError: a rule above is broken; the message names the block.
    """

    stem: tuple[StemBlock, ...]
    blocks: tuple[BlockSpec, ...]

    def __post_init__(self) -> None:
        if not self.stem:
            raise ValueError(f"stem needs {NUM_STEM_PARENTS} or more blocks, got none")
        if max(len(self.stem), len(self.blocks)) > MAX_BLOCKS:
            raise ValueError(
                f"stem and blocks must be at most {MAX_BLOCKS} each (SpineNet-49 has 15 blocks), got {len(self.stem)} "
                f"and {len(self.blocks)}"
            )

        first = kind_named(self.stem[0].kind)
        # Each kind once: journals hold specs by the hundred thousand.
        kinds = [block.kind for block in self.stem] + [block.kind for block in self.blocks]
        for kind in dict.fromkeys(kinds):
            if kind_named(kind).family != first.family:
                raise ValueError(
                    f"{first.name} and {kind} blocks cannot be mixed, stem included: "
                    f"they are of the families {first.family.name} and {kind_named(kind).family.name}"
                )

        lowest = self.family.stem_level
        stem_levels = [block.level for block in self.stem]
        if len(self.stem) < NUM_STEM_PARENTS or stem_levels != sorted(stem_levels) or stem_levels[0] < lowest:
            raise ValueError(
                f"stem needs {NUM_STEM_PARENTS} or more blocks, levels rising from {lowest}, got {stem_levels}"
            )

        # Parents are in ascending order: the first and the last one bound them all.
        for i, block in enumerate(self.blocks):
            if block.parents[0] < 0 or block.parents[-1] >= NUM_STEM_PARENTS + i:
                raise ValueError(
                    f"block {i}: parents must be features 0 to {NUM_STEM_PARENTS + i - 1}, which come before the "
                    f"block, got {list(block.parents)}"
                )

        output_levels = self.output_levels
        if not output_levels:
            raise ValueError("at least one block must be an output")
        if len(set(output_levels)) != len(output_levels):
            raise ValueError(f"each output needs a level of its own, got {list(output_levels)}")

    def __repr__(self) -> str:
        """Return a line that tells architectures apart: the beginning of the key, and the blocks in short form."""
        blocks = textwrap.shorten(short_form(self.blocks), _MAX_SHOWN, placeholder=" ...")
        return f"<ArchSpec {short_key(self.key)}: {blocks}>"

    def _repr_svg_(self) -> str:
        """Return the picture that Jupyter shows."""
        picture: str = import_module(_DRAWN_BY).architecture_svg(self)
        return picture

    @property
    def family(self) -> Family:
        """The family that the kinds of all blocks belong to."""
        return kind_named(self.stem[0].kind).family

    @property
    def output_levels(self) -> tuple[int, ...]:
        """Levels of the output blocks, in order of computation."""
        return tuple(block.level for block in self.blocks if block.is_output)

    @property
    def features(self) -> tuple[StemBlock | BlockSpec, ...]:
        """The last two stem blocks, then every block: parents are numbers in this order."""
        return (*self.stem[-NUM_STEM_PARENTS:], *self.blocks)

    @property
    def key(self) -> str:
        """Canonical name of what would be built: equal keys mean the same network.

        Parents are unordered and blocks that reach no output do not count. 16 hexadecimal digits.
        """
        live = live_blocks(self)
        # Features are numbered among what is built, so that a block that is not built shifts nothing.
        number = {f: f for f in range(NUM_STEM_PARENTS)}
        number |= {block.feature: NUM_STEM_PARENTS + i for i, block in enumerate(live)}

        stem = [(block.level, block.kind) for block in self.stem]
        blocks = []
        for built in live:
            block = self.features[built.feature]
            parents = [number[f] for f in built.parents]
            leftovers = [number[f] for f in built.leftovers]
            blocks.append((block.level, block.kind, built.is_output, parents, leftovers))

        # Keys are on record in journals and spec files: this text must stay as it is.
        return hashlib.sha256(repr((stem, blocks)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class LiveBlock:
    """A block that is really built, with every feature that enters it.

    Attributes:
        feature: the block's number among `ArchSpec.features`.
        parents: features that are resampled into it.
        leftovers: features that nothing else uses and that are added to it as they are (outputs only).
        is_output: whether it is read as an output.
    """

    feature: int
    parents: tuple[int, ...]
    leftovers: tuple[int, ...]
    is_output: bool


def live_blocks(spec: ArchSpec, output_levels: Collection[int] | None = None) -> tuple[LiveBlock, ...]:
    """Return the blocks that reach an output, in order of computation, with leftovers connected.

    With `output_levels` only the outputs of those levels are asked for. What feeds none of them goes; leftovers stay
    where they are with all outputs.

    Leftover rule: when an output is built, every earlier feature that has had no use so far, and has the output's
    level and kind (hence its shape), is added to the output. The output's own parents are counted first. An
    intermediate block that only a later output uses is still a leftover here. A leftover of another kind cannot be
    added and is dropped, together with all that leads only to it.

    Source: SpineNet (arXiv 1912.05027), section 3.2; tensorflow/tpu spinenet.py.
    Differs: the reference compares widths in pixels, which also joins different levels of very small images; a
    topology does not depend on the image here.

    Raises:
        ValueError: no output has one of the levels asked for, or none is asked for.
    """
    wanted = set(spec.output_levels if output_levels is None else output_levels)
    if not wanted or not wanted <= set(spec.output_levels):
        raise ValueError(f"outputs have the levels {sorted(spec.output_levels)}, asked for are {sorted(wanted)}")

    # Of the whole spec, before anything is dropped: leftovers stay where they are with all outputs.
    leftovers = _leftovers(spec)

    # Whatever a live block reads is live. Every child comes after its parents, so one pass from the last block back
    # finds them all.
    is_wanted = [block.is_output and block.level in wanted for block in spec.blocks]
    is_live = [False] * NUM_STEM_PARENTS + is_wanted
    for i, block in reversed(list(enumerate(spec.blocks))):
        if is_live[NUM_STEM_PARENTS + i]:
            for f in (*block.parents, *leftovers[i]):
                is_live[f] = True

    return tuple(
        LiveBlock(NUM_STEM_PARENTS + i, block.parents, leftovers[i], is_wanted[i])
        for i, block in enumerate(spec.blocks)
        if is_live[NUM_STEM_PARENTS + i]
    )


def _leftovers(spec: ArchSpec) -> list[tuple[int, ...]]:
    """Return for each block the features that the leftover rule adds to it; see `live_blocks`."""
    # Uses are counted as far as the network is built: those by later blocks do not count yet.
    features = spec.features
    num_uses = [0] * len(features)
    leftovers: list[tuple[int, ...]] = []
    for i, block in enumerate(spec.blocks):
        for parent in block.parents:
            num_uses[parent] += 1

        added: list[int] = []
        if block.is_output:
            for f in range(NUM_STEM_PARENTS + i):
                has_its_shape = features[f].level == block.level and features[f].kind == block.kind
                if num_uses[f] == 0 and has_its_shape:
                    added.append(f)
                    num_uses[f] += 1
        leftovers.append(tuple(added))
    return leftovers


def short_key(key: str) -> str:
    """Return the beginning of a key, which tells apart architectures that are alike in short form.

    >>> short_key("16064ae63c4e7c41")
    '16064a'
    """
    return key[:SHORT_KEY_LENGTH]


def short_form(blocks: Sequence[BlockSpec]) -> str:
    """Describe blocks in one line: the level and the kind's letter, `r` if residual, and `|` before the outputs.

    Parents do not show: architectures that differ in these alone have one short form, and different keys.

    >>> short_form([BlockSpec(2, "bottleneck", (0, 1)), BlockSpec(4, "residual", (0, 1), True)])
    '2|4r'
    """
    words = [f"{block.level}{kind_named(block.kind).letter}" for block in blocks]
    first_output = next((i for i, block in enumerate(blocks) if block.is_output), len(words))
    return f"{' '.join(words[:first_output])}|{' '.join(words[first_output:])}"


def _check_level_and_kind(level: int, kind: str) -> None:
    if not MIN_LEVEL <= level <= MAX_LEVEL:
        raise ValueError(f"level must be {MIN_LEVEL} to {MAX_LEVEL}, got {level}")
    kind_named(kind)
