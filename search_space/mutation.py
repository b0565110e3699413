"""Mutations: one change that a person would name, of decisions that are legal, to others that are."""

from collections.abc import Callable
from itertools import combinations
from typing import TypeAlias

import numpy as np

from search_space.base import Decisions
from search_space.decision_layout import NUM_PARENTS, DecisionLayout

Mutation: TypeAlias = Callable[[DecisionLayout, Decisions, np.random.Generator], Decisions | None]
"""Returns changed decisions; None where the space has nothing to change in this way."""


def swap(layout: DecisionLayout, decisions: Decisions, rng: np.random.Generator) -> Decisions | None:
    """Exchange level, offset and kind of two intermediates, or of two outputs; connections stay in place."""
    if not layout.permutes:
        return None

    # Kinds that are not searched stay in place: then only a difference of level makes a difference.
    num_blocks = layout.num_blocks
    kinds = decisions[layout.first_kind :] if len(layout.kinds) > 1 else (0,) * num_blocks
    moving = [(layout.level(i, decisions), kinds[i]) for i in range(num_blocks)]
    inner, outer = range(layout.num_intermediates), range(layout.num_intermediates, num_blocks)
    pairs = [(i, j) for i, j in (*combinations(inner, 2), *combinations(outer, 2)) if moving[i] != moving[j]]
    if not pairs:
        return None
    i, j = pairs[rng.integers(len(pairs))]

    # A block takes its level, offset and kind along; parents belong to the position. Outputs have no offsets.
    sections = [0]
    if len(layout.offsets) > 1 and i in inner:
        sections.append(layout.first_offset)
    if len(layout.kinds) > 1:
        sections.append(layout.first_kind)

    changed = list(decisions)
    for start in sections:
        changed[start + i], changed[start + j] = changed[start + j], changed[start + i]
    return tuple(changed)


def rewire(layout: DecisionLayout, decisions: Decisions, rng: np.random.Generator) -> Decisions | None:
    """Give one block another parent."""
    blocks = [i for i in range(layout.num_blocks) if layout.reach(i) > NUM_PARENTS]
    if not layout.connects or not blocks:
        return None

    i, slot = blocks[rng.integers(len(blocks))], rng.integers(NUM_PARENTS)
    first = layout.first_connection + NUM_PARENTS * i
    taken = decisions[first : first + NUM_PARENTS]
    unused = [step for step in range(layout.reach(i)) if step not in taken]
    return _replaced(decisions, first + int(slot), unused[rng.integers(len(unused))])


def change_level(layout: DecisionLayout, decisions: Decisions, rng: np.random.Generator) -> Decisions | None:
    """Give one intermediate another level offset."""
    return _change_one(decisions, range(layout.first_offset, layout.first_kind), len(layout.offsets), rng)


def change_kind(layout: DecisionLayout, decisions: Decisions, rng: np.random.Generator) -> Decisions | None:
    """Give one block another kind."""
    return _change_one(decisions, range(layout.first_kind, len(decisions)), len(layout.kinds), rng)


MUTATIONS: tuple[Mutation, ...] = (swap, rewire, change_level, change_kind)
"""All sorts of mutations; the order is that in which journals of every version drew them."""


def _change_one(decisions: Decisions, section: range, num_options: int, rng: np.random.Generator) -> Decisions | None:
    """Give one of the decisions in a section another option; None where the section is empty."""
    if not section:
        return None

    # One to n - 1 steps around the n options: never the same one again, and all others equally likely.
    index = section[rng.integers(len(section))]
    return _replaced(decisions, index, int(decisions[index] + rng.integers(1, num_options)) % num_options)


def _replaced(decisions: Decisions, index: int, option: int) -> Decisions:
    return (*decisions[:index], option, *decisions[index + 1 :])
