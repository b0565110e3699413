"""The layout of a vector of decisions: which decision is where, and what each says about a block."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

from search_space.base import Decision, Decisions
from search_space.kinds import KIND_HINT, MAX_LEVEL, MIN_LEVEL, Family, installed_kind, kind_named, kind_names
from search_space.spec import NUM_STEM_PARENTS, ArchSpec, BlockSpec

NUM_PARENTS = 2


class DecisionLayout:
    """The decisions of a scale-permuted space, in sections: levels, parents, level offsets, kinds.

    Attributes:
        base: gives whatever is not searched.
        permutes, connects: whether the order and the parents are searched.
        offsets: level offsets to choose from, ascending; one where levels are not searched.
        kinds: kinds to choose from; one is every block's, and none leaves each its own.
        num_intermediates: blocks before the outputs.
        inner_counts: how many intermediates of the base have each level.
        inner_options, output_options: levels in the order of their options.
        first_connection, first_offset, first_kind: where sections begin.
        decisions: (D,) in the order in which they are taken.
        num_options: (D,) of each.

    Raises:
        ValueError: the base or an option does not fit.
    """

    def __init__(
        self,
        base: ArchSpec,
        permutation: bool,
        connections: bool,
        level_offsets: tuple[int, ...],
        kinds: tuple[str, ...],
        window: int | None,
    ) -> None:
        # Intermediates stand before outputs, so a block's position alone says which of the two it is.
        num_inner = len(base.blocks) - len(base.output_levels)
        inner_levels = [block.level for block in base.blocks[:num_inner]]
        offsets = tuple(sorted(set(level_offsets))) or (0,)

        if any(block.is_output for block in base.blocks[:num_inner]):
            raise ValueError("base: intermediate blocks must come before outputs")
        if window is not None and window < NUM_PARENTS:
            raise ValueError(f"window must be {NUM_PARENTS} or more, got {window}")
        _check_offsets(offsets, inner_levels)
        _check_kinds(kinds, base.family)

        self.base = base
        self.permutes = permutation
        self.connects = connections
        self.offsets = offsets
        # A kind that is named twice would be drawn twice as often.
        self.kinds = tuple(dict.fromkeys(kinds))
        self._window = window
        self.num_intermediates = num_inner
        self.inner_counts = Counter(inner_levels)
        self.inner_options = tuple(sorted(self.inner_counts))
        self.output_options = tuple(sorted(base.output_levels))

        # Decisions of one sort stand together, in sections. A part that is not searched has an empty section, which
        # begins where the next one does: every index below is then right for any choice of parts.
        inner, outer = range(num_inner), range(num_inner, len(base.blocks))
        decisions: list[Decision] = []
        if permutation:
            decisions += [Decision(f"block{i}.level", _words(self.inner_options)) for i in inner]
            decisions += [Decision(f"block{i}.level", _words(self.output_options)) for i in outer]

        self.first_connection = len(decisions)
        if connections:
            for i in range(len(base.blocks)):
                # Steps back and not feature numbers: an option means the same distance at every position.
                steps_back = _words(range(1, self.reach(i) + 1))
                decisions += [Decision(f"block{i}.parent{slot}", steps_back) for slot in range(NUM_PARENTS)]

        self.first_offset = len(decisions)
        if len(offsets) > 1:
            decisions += [Decision(f"block{i}.level_offset", _words(offsets)) for i in inner]

        self.first_kind = len(decisions)
        if len(self.kinds) > 1:
            decisions += [Decision(f"block{i}.kind", self.kinds) for i in range(len(base.blocks))]

        self.decisions = tuple(decisions)
        self.num_options = tuple(decision.num_options for decision in decisions)

    @property
    def num_blocks(self) -> int:
        """Number of blocks behind the stem."""
        return len(self.base.blocks)

    def reach(self, block: int) -> int:
        """Return how many features before the block may be its parents."""
        num_before = NUM_STEM_PARENTS + block
        if self._window is None or block >= self.num_intermediates:
            return num_before
        return min(num_before, self._window)

    def level(self, i: int, decisions: Sequence[int]) -> int:
        """Return the level of block `i`; an offset that is not decided yet is the lowest."""
        level, is_inner = self.base.blocks[i].level, i < self.num_intermediates
        if self.permutes:
            level = (self.inner_options if is_inner else self.output_options)[decisions[i]]
        if not is_inner:
            return level

        # A single offset is no decision, but it is added all the same.
        decided = len(self.offsets) > 1 and self.first_offset + i < len(decisions)
        return level + self.offsets[decisions[self.first_offset + i] if decided else 0]

    def parents(self, i: int, decisions: Sequence[int]) -> tuple[int, ...]:
        """Return the parents of block `i`; a stem feature in place of what is not decided yet."""
        if not self.connects:
            return self.base.blocks[i].parents

        # Block `i` is feature `NUM_STEM_PARENTS + i`; option 0 is the feature just before it.
        first = self.first_connection + NUM_PARENTS * i
        parents = tuple([NUM_STEM_PARENTS + i - 1 - step for step in decisions[first : first + NUM_PARENTS]])
        return parents if len(parents) == NUM_PARENTS else (*parents, 0)

    def block(self, i: int, decisions: Decisions) -> BlockSpec:
        """Return block `i`: the base's block with what is searched replaced."""
        base = self.base.blocks[i]
        kind = base.kind
        if self.kinds:
            kind = self.kinds[decisions[self.first_kind + i]] if len(self.kinds) > 1 else self.kinds[0]
        return _block(self.level(i, decisions), kind, self.parents(i, decisions), base.is_output)


@lru_cache(maxsize=100_000)
def _block(level: int, kind: str, parents: tuple[int, ...], is_output: bool) -> BlockSpec:
    """Return a block; equal ones are one object, which is checked once."""
    return BlockSpec(level, kind, parents, is_output)


def _check_offsets(offsets: tuple[int, ...], inner_levels: Sequence[int]) -> None:
    lowest = min(inner_levels, default=4) + offsets[0]
    highest = max(inner_levels, default=4) + offsets[-1]
    for level in (lowest, highest):
        if not MIN_LEVEL <= level <= MAX_LEVEL:
            raise ValueError(f"level_offsets {list(offsets)} lead to level {level}, outside {MIN_LEVEL}-{MAX_LEVEL}")


def _check_kinds(kinds: tuple[str, ...], family: Family) -> None:
    # What an installed package offers joins the table as it is named.
    for kind in kinds:
        if kind not in kind_names():
            installed_kind(kind)
    possible = [name for name in kind_names() if kind_named(name).family == family]
    for kind in kinds:
        if kind not in possible:
            hint = "" if kind in kind_names() else f"; {KIND_HINT}"
            raise ValueError(
                f"kinds must be among {', '.join(possible)}, as the base's blocks are ([] keeps them), "
                f"got {kind!r}{hint}"
            )


def _words(numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple(map(str, numbers))
