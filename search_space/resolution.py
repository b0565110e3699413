"""Resolution paths: whether detail reaches each output, or only through blocks that are coarser than the output.

A path leads from the stem over parents to an output. Its bottleneck is the coarsest level on it, the output's own
included; the stem, which is the same in all architectures of a space, does not count, nor do leftovers.
"""

from collections.abc import Iterable, Mapping, Sequence

from search_space.spec import NUM_STEM_PARENTS, ArchSpec, BlockSpec

NO_LEVEL = 0
"""Finer than every level: what a stem feature adds to a path."""


def bottlenecks(levels: Sequence[int], parents: Iterable[Sequence[int]]) -> list[int]:
    """Return for each feature the coarsest level on its best path, which is the path where that is finest.

    Args:
        levels: of the first blocks of a network, in order of computation.
        parents: of each of them, as numbers among the features.

    Returns:
        One for each stem feature, then one for each of these blocks.
    """
    found = [NO_LEVEL] * NUM_STEM_PARENTS
    for level, own in zip(levels, parents, strict=True):
        found.append(max(level, min(found[parent] for parent in own)))
    return found


def levels_above(spec: ArchSpec) -> Mapping[int, int]:
    """Return for each output, by its level, how many levels coarser the bottleneck of its best path is.

    0 says that some path has no block coarser than the output.
    """
    found = bottlenecks([block.level for block in spec.blocks], [block.parents for block in spec.blocks])
    outputs: Iterable[tuple[int, BlockSpec]] = enumerate(spec.blocks, start=NUM_STEM_PARENTS)
    return {block.level: found[feature] - block.level for feature, block in outputs if block.is_output}


def has_resolution_paths(spec: ArchSpec) -> bool:
    """Return whether every output has a path on which no block is coarser than the output."""
    return not any(levels_above(spec).values())
