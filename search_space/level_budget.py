"""The levels that intermediates may have: those of the base's blocks, in any order, each with an offset."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import combinations_with_replacement

import numpy as np

from search_space.decision_layout import DecisionLayout


class LevelBudget:
    """Draws levels of intermediates, and says which blocks of the base they may come from."""

    def __init__(self, layout: DecisionLayout) -> None:
        self._layout = layout

    def sample(self, rng: np.random.Generator) -> list[int]:
        """Draw levels of the intermediates; every sequence of the space is equally likely."""
        # A multiset is drawn in proportion to its number of orders, and then one of these: so no sequence is favoured.
        if self._layout.permutes:
            multisets, cumulated = self._level_counts
            drawn = multisets[np.searchsorted(cumulated, rng.integers(cumulated[-1]), side="right")]
            return [drawn[i] for i in rng.permutation(len(drawn))]

        offsets = rng.integers(len(self._layout.offsets), size=self._layout.num_intermediates)
        inner = self._layout.base.blocks[: self._layout.num_intermediates]
        return [block.level + self._layout.offsets[o] for block, o in zip(inner, offsets, strict=True)]

    def bases_of(self, levels: Sequence[int]) -> list[int]:
        """Return for each intermediate the level it had before its offset, smallest first.

        Raises:
            ValueError: the levels cannot come from the base's blocks.
        """
        if not self._layout.permutes:
            bases = [block.level for block in self._layout.base.blocks[: self._layout.num_intermediates]]
            if all(level - base in self._layout.offsets for level, base in zip(levels, bases, strict=True)):
                return bases
            raise ValueError(f"levels {list(levels)} cannot come from {bases} by offsets {list(self._layout.offsets)}")

        assigned = self._search_bases(levels)
        if assigned is None:
            counts = dict(sorted(self._layout.inner_counts.items()))
            raise ValueError(
                f"intermediate levels {list(levels)} cannot come from {counts} "
                f"(level: count) by offsets {list(self._layout.offsets)}"
            )
        return assigned

    @cached_property
    def _level_counts(self) -> tuple[tuple[tuple[int, ...], ...], np.ndarray]:
        """Return every multiset of levels that offsets make of the base's, and their numbers of orders, cumulated."""
        # Blocks of one base level are alike: how many of them take each offset matters, not which.
        multisets: set[tuple[int, ...]] = {()}
        for level, count in self._layout.inner_counts.items():
            reached = [level + offset for offset in self._layout.offsets]
            additions = tuple(combinations_with_replacement(reached, count))
            multisets = {tuple(sorted((*known, *new))) for known in multisets for new in additions}

        ordered = tuple(sorted(multisets))
        return ordered, np.cumsum([_num_orders(levels) for levels in ordered])

    def _search_bases(self, levels: Sequence[int]) -> list[int] | None:
        """Try the base levels for one intermediate after another, smallest first; None where none fit."""
        left = dict(self._layout.inner_counts)
        assigned: list[int] = []

        # The smallest base may leave none that fits further on, so choices are taken back. Dead ends are remembered,
        # or that could take exponential time: what is left of the base's blocks also says how many are assigned, so
        # it is the whole state.
        dead_ends: set[tuple[int, ...]] = set()

        def extend() -> bool:
            if len(assigned) == len(levels):
                return True
            state = tuple(left.values())
            if state in dead_ends:
                return False

            for base in self._layout.inner_options:
                if left[base] and levels[len(assigned)] - base in self._layout.offsets:
                    left[base] -= 1
                    assigned.append(base)
                    if extend():
                        return True
                    left[assigned.pop()] += 1

            dead_ends.add(state)
            return False

        return assigned if extend() else None


def _num_orders(levels: Iterable[int]) -> int:
    counts = Counter(levels)
    return math.factorial(counts.total()) // math.prod(math.factorial(n) for n in counts.values())
