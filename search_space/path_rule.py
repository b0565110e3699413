"""The rule of resolution paths on decisions, which may not all be taken yet."""

from collections.abc import Sequence

from search_space.decision_layout import NUM_PARENTS, DecisionLayout
from search_space.resolution import bottlenecks
from search_space.spec import NUM_STEM_PARENTS


def can_keep_paths(layout: DecisionLayout, prefix: Sequence[int]) -> bool:
    """Return whether some choice of what follows keeps a path to each output on which no block is coarser.

    Exact, as one choice is best for all outputs: the lowest offsets, and outputs that read the stem. Levels and
    their order decide nothing by themselves, as connections follow.
    """
    if len(prefix) <= layout.first_connection < layout.first_offset:
        return True

    blocks = range(layout.num_blocks)
    levels = [layout.level(i, prefix) for i in blocks]
    found = bottlenecks(levels, [layout.parents(i, prefix) for i in blocks])
    outputs = range(layout.num_intermediates, layout.num_blocks)
    return all(found[NUM_STEM_PARENTS + i] <= levels[i] for i in outputs)


def may_close_a_path(layout: DecisionLayout, index: int) -> bool:
    """Return whether a decision may leave an output without a path: its last parent, or an offset.

    Before its last parent is decided an output may still read the stem.
    """
    first_of_outputs = layout.first_connection + NUM_PARENTS * layout.num_intermediates
    is_last_parent = (index - layout.first_connection) % NUM_PARENTS == NUM_PARENTS - 1
    is_offset = layout.first_offset <= index < layout.first_kind
    return is_offset or (first_of_outputs <= index < layout.first_offset and is_last_parent)
