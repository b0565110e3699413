"""Features of architectures: what is built, as a fixed number of figures that predictors can be fitted to.

docs/features.md says what each means.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from itertools import chain
from typing import TypeAlias

from search_space.kinds import MAX_LEVEL, MIN_LEVEL
from search_space.resolution import levels_above
from search_space.scale import ModelScale
from search_space.spec import NUM_STEM_PARENTS, ArchSpec, live_blocks

NUM_BUCKETS = 128
"""Buckets that neighbourhoods are hashed to; a network has some fifteen neighbourhoods."""

LEFTOVER = 0.5
"""The feature of a connection that adds a leftover; that of a connection to a parent is 1."""

_Named: TypeAlias = tuple[str, float]
"""A feature's name, and what is added to it."""
_Label: TypeAlias = tuple[int, str, bool]
"""Level and kind of a feature, and whether it is an output."""

_STEM_LABELS: tuple[_Label, ...] = tuple((i, "stem", False) for i in range(NUM_STEM_PARENTS))
_LEVELS = range(MIN_LEVEL, MAX_LEVEL + 1)


@dataclass(frozen=True, slots=True)
class _Built:
    """A block that is built; features are numbered among those that are.

    Attributes:
        level: its level.
        kind: its kind.
        is_output: whether the detector reads it.
        place: its number among the features of the space: intermediates first, then outputs, each without gaps.
        parents: numbers of its parents.
        leftovers: numbers of the leftovers that are added to it.
    """

    level: int
    kind: str
    is_output: bool
    place: int
    parents: tuple[int, ...]
    leftovers: tuple[int, ...]

    @property
    def reads(self) -> tuple[int, ...]:
        """Numbers of all features that enter the block."""
        return (*self.parents, *self.leftovers)

    @property
    def label(self) -> _Label:
        """The block as its children see it."""
        return self.level, self.kind, self.is_output


@dataclass(frozen=True)
class ArchitectureFeatures:
    """The features of all architectures that have intermediates, at most so many, and then outputs of some levels.

    Attributes:
        num_intermediates: most blocks before the outputs.
        output_levels: levels of the outputs.
        kinds: kinds that blocks may have.
    """

    num_intermediates: int
    output_levels: tuple[int, ...]
    kinds: tuple[str, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """(F,) the name of each feature, in order."""
        num_blocks = self.num_intermediates + len(self.output_levels)
        outputs, levels = sorted(self.output_levels), [f"level{level}" for level in _LEVELS]

        names = ["built", "leftovers"]
        names += [f"intermediate.{level}.{kind}" for level in levels for kind in self.kinds]
        names += [f"output.level{level}.{kind}" for level in outputs for kind in self.kinds]
        names += [f"steps_back{steps}" for steps in range(1, NUM_STEM_PARENTS + num_blocks)]
        names += [f"level_difference{difference:+}" for difference in range(MIN_LEVEL - MAX_LEVEL, len(_LEVELS))]

        for name in ("depth", "shortest", "bottleneck"):
            names += [f"{name}.level{level}" for level in outputs]
        names += [f"neighbourhood{bucket}" for bucket in range(NUM_BUCKETS)]

        for place in range(num_blocks):
            names += [f"place{place}.{word}" for word in (*levels, *self.kinds)]
            names += [f"place{place}.reads{feature}" for feature in range(NUM_STEM_PARENTS + place)]
        return tuple(names)

    @cached_property
    def _index(self) -> Mapping[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def of(self, spec: ArchSpec) -> tuple[float, ...]:
        """Return the (F,) features of an architecture; equal keys have equal ones."""
        built = self._built(spec)
        stem_levels = [block.level for block in spec.stem[-NUM_STEM_PARENTS:]]
        parts = (
            _counts_of_blocks(built),
            _counts_of_connections(built, stem_levels),
            _lengths_of_paths(built),
            ((f"bottleneck.level{level}", above) for level, above in levels_above(spec).items()),
            _neighbourhoods(built),
            _places(built),
        )

        values = [0.0] * len(self._index)
        for name, value in chain.from_iterable(parts):
            values[self._index[name]] += value
        return tuple(values)

    def _built(self, spec: ArchSpec) -> list[_Built]:
        """Return the blocks that are built, in order of computation."""
        live = live_blocks(spec)
        number = {feature: feature for feature in range(NUM_STEM_PARENTS)}
        number |= {block.feature: NUM_STEM_PARENTS + i for i, block in enumerate(live)}

        built = []
        next_place = {False: NUM_STEM_PARENTS, True: NUM_STEM_PARENTS + self.num_intermediates}
        for block in live:
            own = spec.blocks[block.feature - NUM_STEM_PARENTS]
            parents, leftovers = (tuple(number[f] for f in read) for read in (block.parents, block.leftovers))
            place = next_place[own.is_output]
            next_place[own.is_output] += 1
            built.append(_Built(own.level, own.kind, own.is_output, place, parents, leftovers))
        return built


def features_of_all(specs: Sequence[ArchSpec]) -> ArchitectureFeatures:
    """Return features that fit each of some architectures, of which there is at least one."""
    return ArchitectureFeatures(
        num_intermediates=max(sum(not block.is_output for block in spec.blocks) for spec in specs),
        output_levels=tuple(sorted({level for spec in specs for level in spec.output_levels})),
        kinds=tuple(sorted({block.kind for spec in specs for block in spec.blocks})),
    )


def scale_features(scale: ModelScale | None) -> dict[str, float]:
    """Return the sizes that a scale gives in numbers, by the names of features; those of none are those of the default.

    They are all that scales of one space differ in.
    """
    own = ModelScale() if scale is None else scale
    sizes = {field.name: getattr(own, field.name) for field in fields(own)}
    return {f"scale.{name}": float(size) for name, size in sizes.items() if not isinstance(size, str | bool)}


def _counts_of_blocks(built: Sequence[_Built]) -> Iterator[_Named]:
    for block in built:
        role = "output" if block.is_output else "intermediate"
        yield f"{role}.level{block.level}.{block.kind}", 1
        yield "built", 1
        yield "leftovers", len(block.leftovers)


def _counts_of_connections(built: Sequence[_Built], stem_levels: Sequence[int]) -> Iterator[_Named]:
    levels = [*stem_levels, *(block.level for block in built)]
    for number, block in enumerate(built, start=NUM_STEM_PARENTS):
        for read in block.reads:
            yield f"steps_back{number - read}", 1
            yield f"level_difference{levels[read] - block.level:+}", 1


def _lengths_of_paths(built: Sequence[_Built]) -> Iterator[_Named]:
    """Yield how many blocks the longest and the shortest path from the stem to each output have, it included."""
    longest, shortest = [0] * NUM_STEM_PARENTS, [0] * NUM_STEM_PARENTS
    for block in built:
        longest.append(1 + max([longest[read] for read in block.reads]))
        shortest.append(1 + min([shortest[read] for read in block.reads]))
        if block.is_output:
            yield f"depth.level{block.level}", longest[-1]
            yield f"shortest.level{block.level}", shortest[-1]


def _neighbourhoods(built: Sequence[_Built]) -> Iterator[_Named]:
    """Yield the neighbourhood of each block: one round of Weisfeiler and Lehman, hashed."""
    labels = [*_STEM_LABELS, *(block.label for block in built)]
    for block in built:
        parents, leftovers = (tuple(sorted([labels[read] for read in own])) for own in (block.parents, block.leftovers))
        yield _bucket(block.label, parents, leftovers), 1


@lru_cache(maxsize=100_000)
def _bucket(own: _Label, parents: tuple[_Label, ...], leftovers: tuple[_Label, ...]) -> str:
    # Not Python's own hash, which differs from process to process.
    return f"neighbourhood{zlib.crc32(repr((own, parents, leftovers)).encode()) % NUM_BUCKETS}"


def _places(built: Sequence[_Built]) -> Iterator[_Named]:
    """Yield level, kind and connections of the block at each place."""
    places = [*range(NUM_STEM_PARENTS), *(block.place for block in built)]
    for block in built:
        place = f"place{block.place - NUM_STEM_PARENTS}"
        yield f"{place}.level{block.level}", 1
        yield f"{place}.{block.kind}", 1
        for parent in block.parents:
            yield f"{place}.reads{places[parent]}", 1
        # A leftover is added as it is: another network than with a parent in its place.
        for leftover in block.leftovers:
            yield f"{place}.reads{places[leftover]}", LEFTOVER
