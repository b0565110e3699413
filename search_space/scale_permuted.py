"""The SpineNet space: the order of blocks of given levels, what feeds each, and its level and kind."""

import math
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations, combinations_with_replacement
from typing import TypeAlias

import numpy as np

from search_space.base import Decision, Decisions
from search_space.features import ArchitectureFeatures
from search_space.kinds import KIND_HINT, MAX_LEVEL, MIN_LEVEL, Family, kind_named, kind_names
from search_space.resolution import bottlenecks, levels_above
from search_space.spec import NUM_STEM_PARENTS, ArchSpec, BlockSpec

NUM_PARENTS = 2
LEVEL_OFFSETS = (-1, 0, 1, 2)
WINDOW = 5
"""Features before an intermediate block among which it looks for parents (section 5.1)."""
NUM_TRIES = 100
"""Most mutations of one sort that are drawn to find one that keeps the resolution paths."""

_Change: TypeAlias = Callable[[Decisions, np.random.Generator], Decisions | None]


@dataclass(frozen=True, slots=True)
class SpaceSize:
    """Numbers of choices in each sub-space; 1 where it is not searched.

    Attributes:
        labelled_orders: orders of intermediates times orders of outputs, every block told apart, as the paper counts.
        orders: the same with blocks of one level not told apart: really different orders.
        connections: ways to choose the parents of all blocks.
        levels: ways to choose the level offsets.
        kinds: ways to choose the kinds.
    """

    labelled_orders: int
    orders: int
    connections: int
    levels: int
    kinds: int

    @property
    def total(self) -> int:
        """The whole space as the paper counts it."""
        return self.labelled_orders * self.connections * self.levels * self.kinds


class ScalePermutedSpace:
    """Architectures that differ from a base in block order, connections, block levels and block kinds.

    Decisions come in the paper's order, and a part that is not searched has none and stays as in the base:

    1. permutation: at each position a *level* out of those left, first intermediates, then outputs. Blocks of one
       level are alike, so their numbers are not decisions.
    2. connections: for each block two different parents, as steps back (option 0 is the feature just before).
       Intermediates reach back `window` features, outputs to the start.
    3. level offset for each intermediate block, added to its level.
    4. kind for each block.

    Args:
        base: gives the stem, the blocks to permute, and whatever is not searched; intermediates before outputs.
        permutation: search the order.
        connections: search the parents.
        level_offsets: offsets to choose from; empty or (0,): levels stay.
        kinds: names of kinds to choose from, all of the base's family; empty: kinds stay.
        window: how far back an intermediate may reach; None for no limit.
        resolution_paths: leave out architectures in which every path to some output leads through a block that is
            coarser than the output; see `search_space/resolution.py`. An output may then have any first parent, and an
            option is legal as long as some choice of what follows keeps a path to each output.

    Raises:
        ValueError: the base or an option does not fit the rules above.

    Source: SpineNet (arXiv 1912.05027), sections 3.1 to 3.4 and 5.1.
    """

    def __init__(
        self,
        base: ArchSpec,
        permutation: bool = True,
        connections: bool = True,
        level_offsets: tuple[int, ...] = LEVEL_OFFSETS,
        kinds: tuple[str, ...] = ("bottleneck", "residual"),
        window: int | None = WINDOW,
        resolution_paths: bool = False,
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

        self._base = base
        self._permutes = permutation
        self._connects = connections
        self._offsets = offsets
        # A kind that is named twice would be drawn twice as often.
        self._kinds = tuple(dict.fromkeys(kinds))
        self._window = window
        self._num_intermediates = num_inner
        self._inner_counts = Counter(inner_levels)
        self._inner_options = tuple(sorted(self._inner_counts))
        self._output_options = tuple(sorted(base.output_levels))

        # Decisions of one sort stand together, in sections. A part that is not searched has an empty section, which
        # begins where the next one does: every index below is then right for any choice of parts.
        inner, outer = range(num_inner), range(num_inner, len(base.blocks))
        decisions: list[Decision] = []
        if permutation:
            decisions += [Decision(f"block{i}.level", _words(self._inner_options)) for i in inner]
            decisions += [Decision(f"block{i}.level", _words(self._output_options)) for i in outer]

        self._first_connection = len(decisions)
        if connections:
            for i in range(len(base.blocks)):
                # Steps back and not feature numbers: an option means the same distance at every position.
                steps_back = _words(range(1, self._reach(i) + 1))
                decisions += [Decision(f"block{i}.parent{slot}", steps_back) for slot in range(NUM_PARENTS)]

        self._first_offset = len(decisions)
        if len(offsets) > 1:
            decisions += [Decision(f"block{i}.level_offset", _words(offsets)) for i in inner]

        self._first_kind = len(decisions)
        if len(self._kinds) > 1:
            decisions += [Decision(f"block{i}.kind", self._kinds) for i in range(len(base.blocks))]

        self._decisions = tuple(decisions)
        self._num_options = tuple(decision.num_options for decision in decisions)

        used_kinds = self._kinds or tuple(dict.fromkeys(block.kind for block in base.blocks))
        self._features = ArchitectureFeatures(num_inner, self._output_options, used_kinds)

        self._keeps_paths = resolution_paths
        if resolution_paths and permutation and not connections:
            raise ValueError("resolution_paths=true needs connections=true where permutation=true")
        if resolution_paths and not connections and not self._can_keep_paths(()):
            raise ValueError("resolution_paths=true leaves nothing of this space: no level offsets open a path in base")

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """(D,) in the order in which they are taken."""
        return self._decisions

    def legal(self, prefix: Sequence[int]) -> tuple[int, ...]:
        """Return the options that may follow `prefix`; see `SearchSpace.legal`."""
        index = len(prefix)
        if index >= len(self._decisions):
            raise ValueError(f"the space has {len(self._decisions)} decisions, the prefix already {index}")
        options = range(self._decisions[index].num_options)

        # As many intermediates of a level as the base has, and each output's level once. The counts add up to the
        # number of positions, so that an option is always left.
        num_inner = self._num_intermediates
        if self._permutes and index < num_inner:
            taken = Counter(prefix)
            return tuple(o for o in options if taken[o] < self._inner_counts[self._inner_options[o]])
        if self._permutes and index < self._first_connection:
            return tuple(o for o in options if o not in prefix[num_inner:])

        # The second parent differs from the first.
        left = tuple(options)
        is_connection = self._first_connection <= index < self._first_offset
        if is_connection and (index - self._first_connection) % NUM_PARENTS == 1:
            left = tuple(o for o in options if o != prefix[index - 1])

        if self._keeps_paths and self._may_close_a_path(index):
            left = tuple(o for o in left if self._can_keep_paths((*prefix, o)))
        return left

    def sample(self, rng: np.random.Generator) -> Decisions:
        """Draw an architecture; every spec of the space is equally likely."""
        # What is left out is drawn and thrown away: whatever else changed a draw would favour some of the rest.
        decisions = self._draw(rng)
        while self._keeps_paths and not self._can_keep_paths(decisions):
            decisions = self._draw(rng)
        return decisions

    def mutate(self, decisions: Decisions, rng: np.random.Generator) -> Decisions:
        """Swap two positions, rewire one parent, change one level or change one kind, with equal chances.

        A swap exchanges level, offset and kind of two intermediates or of two outputs; connections stay in place.
        Nothing is checked of the decisions, which must be legal: they come from `sample`, `mutate`, `encode` or one
        legal option after another.

        Raises:
            ValueError: a space of one architecture, or no change was found that keeps its resolution paths.
        """
        changes = (self._swap, self._rewire, self._change_level, self._change_kind)
        # In random order until one is possible: the parts that are searched keep equal chances.
        for i in rng.permutation(len(changes)):
            changed = self._changed(changes[i], decisions, rng)
            if changed is not None:
                return changed
        if self._keeps_paths:
            raise ValueError("no change of one part was found that keeps the resolution paths")
        raise ValueError("the space holds one architecture only: there is nothing to mutate")

    def decode(self, decisions: Decisions) -> ArchSpec:
        """Return the spec that the decisions describe; see `SearchSpace.decode`."""
        if len(decisions) != len(self._decisions):
            raise ValueError(f"the space has {len(self._decisions)} decisions, got {len(decisions)}")
        if not self._is_legal(decisions):
            raise ValueError(self._first_illegal(decisions))

        blocks = tuple(self._decode_block(i, decisions) for i in range(len(self._base.blocks)))
        return ArchSpec(self._base.stem, blocks)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """(F,) the name of each feature; docs/features.md explains them."""
        return self._features.names

    def features(self, decisions: Decisions) -> tuple[float, ...]:
        """Return what would be built as (F,) figures; see `SearchSpace.features`."""
        return self._features.of(self.decode(decisions))

    def encode(self, spec: ArchSpec) -> Decisions:
        """Return decisions that decode to `spec`; see `SearchSpace.encode`.

        Where level offsets let one level come from several, the smallest base levels are taken first.
        """
        if spec.stem != self._base.stem:
            raise ValueError("the spec's stem is not the space's")
        if [block.is_output for block in spec.blocks] != [block.is_output for block in self._base.blocks]:
            raise ValueError(
                f"the space has {self._num_intermediates} intermediate blocks and then "
                f"{len(self._output_options)} outputs, the spec has another layout"
            )

        levels = [block.level for block in spec.blocks]
        inner, outer = levels[: self._num_intermediates], levels[self._num_intermediates :]
        if sorted(outer) != list(self._output_options):
            raise ValueError(f"outputs must have levels {list(self._output_options)}, got {sorted(outer)}")
        if not self._permutes and outer != list(self._base.output_levels):
            raise ValueError(f"outputs must come in the order {list(self._base.output_levels)}, got {outer}")
        bases = self._assign_bases(inner)

        decisions = list[int]()
        if self._permutes:
            decisions += [self._inner_options.index(base) for base in bases]
            decisions += [self._output_options.index(level) for level in outer]

        for i, block in enumerate(spec.blocks):
            decisions += self._encode_parents(i, block)

        if len(self._offsets) > 1:
            decisions += [self._offsets.index(level - base) for level, base in zip(inner, bases, strict=True)]

        # No kinds leave each block its own; a single kind is every block's, and there is nothing to decide.
        for i, block in enumerate(spec.blocks):
            allowed = self._kinds or (self._base.blocks[i].kind,)
            if block.kind not in allowed:
                raise ValueError(f"block {i}: kind must be {' or '.join(allowed)}, got {block.kind}")
            if len(self._kinds) > 1:
                decisions.append(self._kinds.index(block.kind))

        if self._keeps_paths and not self._can_keep_paths(decisions):
            closed = [level for level, above in levels_above(spec).items() if above]
            raise ValueError(
                f"every path from the stem to the output of level {min(closed)} leads through a block that is coarser, "
                "which resolution_paths=true leaves out"
            )
        return tuple(decisions)

    def size(self) -> SpaceSize:
        """Count the choices of each sub-space; those that `resolution_paths` leaves out are counted too.

        How many it leaves depends on levels and connections at once and has no closed form: then the total is an upper
        bound.
        """
        num_inner, num_outputs = self._num_intermediates, len(self._output_options)
        labelled = math.factorial(num_inner) * math.factorial(num_outputs) if self._permutes else 1
        # Exchanging blocks of one level changes nothing: so many labelled orders are one order.
        alike = math.prod(math.factorial(n) for n in self._inner_counts.values()) if self._permutes else 1
        ways_to_connect = (math.comb(self._reach(i), NUM_PARENTS) for i in range(len(self._base.blocks)))

        return SpaceSize(
            labelled_orders=labelled,
            orders=labelled // alike,
            connections=math.prod(ways_to_connect) if self._connects else 1,
            levels=len(self._offsets) ** num_inner,
            kinds=len(self._kinds) ** len(self._base.blocks) if self._kinds else 1,
        )

    def _draw(self, rng: np.random.Generator) -> Decisions:
        """Draw an architecture of all, those that `resolution_paths` leaves out included."""
        # Levels come first and their bases follow from them. Drawn the other way round, levels that several bases lead
        # to would come more often than others.
        decisions = list[int]()
        levels = self._sample_levels(rng)
        bases = self._assign_bases(levels)

        if self._permutes:
            decisions += [self._inner_options.index(base) for base in bases]
            decisions += rng.permutation(len(self._output_options)).tolist()

        if self._connects:
            for i in range(len(self._base.blocks)):
                # The second is drawn among one option less, and steps over the first. Both orders of a pair decode to
                # the same block, so that all pairs are equally likely.
                first, second = rng.integers(self._reach(i)), rng.integers(self._reach(i) - 1)
                decisions += [int(first), int(second + (second >= first))]

        if len(self._offsets) > 1:
            decisions += [self._offsets.index(level - base) for level, base in zip(levels, bases, strict=True)]

        if len(self._kinds) > 1:
            decisions += rng.integers(len(self._kinds), size=len(self._base.blocks)).tolist()

        return tuple(decisions)

    def _reach(self, block: int) -> int:
        """Return how many features before the block may be its parents."""
        num_before = NUM_STEM_PARENTS + block
        if self._window is None or block >= self._num_intermediates:
            return num_before
        return min(num_before, self._window)

    def _is_legal(self, decisions: Decisions) -> bool:
        """Return whether all decisions are legal, at once: asking `legal` at each would take most of a decoding."""
        if not all(0 <= option < number for option, number in zip(decisions, self._num_options, strict=True)):
            return False

        # Every level as often as the base has it.
        num_inner = self._num_intermediates
        if self._permutes:
            taken = Counter(decisions[:num_inner])
            outer = decisions[num_inner : self._first_connection]
            if any(taken[o] != self._inner_counts[level] for o, level in enumerate(self._inner_options)):
                return False
            if len(set(outer)) != len(outer):
                return False

        first, second = (decisions[self._first_connection + slot : self._first_offset : NUM_PARENTS] for slot in (0, 1))
        if any(map(operator.eq, first, second)):
            return False
        return not self._keeps_paths or self._can_keep_paths(decisions)

    def _first_illegal(self, decisions: Decisions) -> str:
        """Return a message about the first decision that is not legal."""
        for i, option in enumerate(decisions):
            legal = self.legal(decisions[:i])
            if option not in legal:
                return f"{self._decisions[i].name}: legal options are {list(legal)}, got {option}"
        raise AssertionError(f"every decision is legal by itself, but not all are: {decisions}")

    def _decode_block(self, i: int, decisions: Decisions) -> BlockSpec:
        """Return block `i`: the base's block with what is searched replaced."""
        base = self._base.blocks[i]
        # Block `i` is feature `NUM_STEM_PARENTS + i`; option 0 is the feature just before it.
        parents = base.parents
        if self._connects:
            first = self._first_connection + NUM_PARENTS * i
            parents = tuple(NUM_STEM_PARENTS + i - 1 - step for step in decisions[first : first + NUM_PARENTS])

        kind = base.kind
        if self._kinds:
            kind = self._kinds[decisions[self._first_kind + i]] if len(self._kinds) > 1 else self._kinds[0]
        return _block(self._level(i, decisions), kind, parents, base.is_output)

    def _level(self, i: int, decisions: Sequence[int]) -> int:
        """Return the level of block `i`; an offset that is not decided yet is the lowest."""
        level, is_inner = self._base.blocks[i].level, i < self._num_intermediates
        if self._permutes:
            level = (self._inner_options if is_inner else self._output_options)[decisions[i]]
        if not is_inner:
            return level

        # A single offset is no decision, but it is added all the same.
        decided = len(self._offsets) > 1 and self._first_offset + i < len(decisions)
        return level + self._offsets[decisions[self._first_offset + i] if decided else 0]

    def _may_close_a_path(self, index: int) -> bool:
        """Return whether a decision may leave an output without a path: its last parent, or an offset.

        Before its last parent is decided an output may still read the stem.
        """
        first_of_outputs = self._first_connection + NUM_PARENTS * self._num_intermediates
        is_last_parent = (index - self._first_connection) % NUM_PARENTS == NUM_PARENTS - 1
        is_offset = self._first_offset <= index < self._first_kind
        return is_offset or (first_of_outputs <= index < self._first_offset and is_last_parent)

    def _can_keep_paths(self, prefix: Sequence[int]) -> bool:
        """Return whether some choice of what follows keeps a path to each output on which no block is coarser.

        Exact, as one choice is best for all outputs: the lowest offsets, and outputs that read the stem. Levels and
        their order decide nothing by themselves, as connections follow.
        """
        if len(prefix) <= self._first_connection < self._first_offset:
            return True

        blocks = range(len(self._base.blocks))
        levels = [self._level(i, prefix) for i in blocks]
        found = bottlenecks(levels, [self._best_parents(i, prefix) for i in blocks])
        outputs = range(self._num_intermediates, len(blocks))
        return all(found[NUM_STEM_PARENTS + i] <= levels[i] for i in outputs)

    def _best_parents(self, i: int, prefix: Sequence[int]) -> Sequence[int]:
        """Return the parents of block `i`, the stem in place of those that are not decided yet."""
        if not self._connects:
            return self._base.blocks[i].parents
        first = self._first_connection + NUM_PARENTS * i
        parents = [NUM_STEM_PARENTS + i - 1 - step for step in prefix[first : first + NUM_PARENTS]]
        return parents if len(parents) == NUM_PARENTS else [*parents, 0]

    def _encode_parents(self, i: int, block: BlockSpec) -> list[int]:
        """Return the decisions for the parents of block `i`; none where connections are not searched."""
        if not self._connects:
            if block.parents != self._base.blocks[i].parents:
                raise ValueError(f"block {i}: parents must be {list(self._base.blocks[i].parents)}, as in the base")
            return []

        steps = [NUM_STEM_PARENTS + i - 1 - parent for parent in block.parents]
        if len(steps) != NUM_PARENTS or max(steps) >= self._reach(i):
            raise ValueError(
                f"block {i}: needs {NUM_PARENTS} parents among the {self._reach(i)} features before it, "
                f"got {list(block.parents)}"
            )
        return steps

    @cached_property
    def _level_counts(self) -> tuple[tuple[tuple[int, ...], ...], np.ndarray]:
        """Return every multiset of levels that offsets make of the base's, and their numbers of orders, cumulated."""
        # Blocks of one base level are alike: how many of them take each offset matters, not which.
        multisets: set[tuple[int, ...]] = {()}
        for level, count in self._inner_counts.items():
            reached = [level + offset for offset in self._offsets]
            additions = tuple(combinations_with_replacement(reached, count))
            multisets = {tuple(sorted((*known, *new))) for known in multisets for new in additions}

        ordered = tuple(sorted(multisets))
        return ordered, np.cumsum([_num_orders(levels) for levels in ordered])

    def _sample_levels(self, rng: np.random.Generator) -> list[int]:
        """Draw levels of the intermediates; every sequence of the space is equally likely."""
        # A multiset is drawn in proportion to its number of orders, and then one of these: so no sequence is favoured.
        if self._permutes:
            multisets, cumulated = self._level_counts
            drawn = multisets[np.searchsorted(cumulated, rng.integers(cumulated[-1]), side="right")]
            return [drawn[i] for i in rng.permutation(len(drawn))]

        offsets = rng.integers(len(self._offsets), size=self._num_intermediates)
        inner = self._base.blocks[: self._num_intermediates]
        return [block.level + self._offsets[o] for block, o in zip(inner, offsets, strict=True)]

    def _assign_bases(self, levels: Sequence[int]) -> list[int]:
        """Return for each intermediate the level it had before its offset, smallest first.

        Raises:
            ValueError: the levels cannot come from the base's blocks.
        """
        if not self._permutes:
            bases = [block.level for block in self._base.blocks[: self._num_intermediates]]
            if all(level - base in self._offsets for level, base in zip(levels, bases, strict=True)):
                return bases
            raise ValueError(f"levels {list(levels)} cannot come from {bases} by offsets {list(self._offsets)}")

        assigned = self._search_bases(levels)
        if assigned is None:
            raise ValueError(
                f"intermediate levels {list(levels)} cannot come from {dict(sorted(self._inner_counts.items()))} "
                f"(level: count) by offsets {list(self._offsets)}"
            )
        return assigned

    def _search_bases(self, levels: Sequence[int]) -> list[int] | None:
        """Try the base levels for one intermediate after another, smallest first; None where none fit."""
        left = dict(self._inner_counts)
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

            for base in self._inner_options:
                if left[base] and levels[len(assigned)] - base in self._offsets:
                    left[base] -= 1
                    assigned.append(base)
                    if extend():
                        return True
                    left[assigned.pop()] += 1

            dead_ends.add(state)
            return False

        return assigned if extend() else None

    def _changed(self, change: _Change, decisions: Decisions, rng: np.random.Generator) -> Decisions | None:
        """Return decisions with one change of a sort; None where there is none, or none found that keeps the paths."""
        for _ in range(NUM_TRIES if self._keeps_paths else 1):
            changed = change(decisions, rng)
            if changed is None or not self._keeps_paths or self._can_keep_paths(changed):
                return changed
        return None

    def _swap(self, decisions: Decisions, rng: np.random.Generator) -> Decisions | None:
        if not self._permutes:
            return None

        # Kinds that are not searched stay in place: then only a difference of level makes a difference.
        num_blocks = len(self._base.blocks)
        kinds = decisions[self._first_kind :] if len(self._kinds) > 1 else (0,) * num_blocks
        moving = [(self._level(i, decisions), kinds[i]) for i in range(num_blocks)]
        inner, outer = range(self._num_intermediates), range(self._num_intermediates, num_blocks)
        pairs = [(i, j) for i, j in (*combinations(inner, 2), *combinations(outer, 2)) if moving[i] != moving[j]]
        if not pairs:
            return None
        i, j = pairs[rng.integers(len(pairs))]

        # A block takes its level, offset and kind along; parents belong to the position. Outputs have no offsets.
        sections = [0]
        if len(self._offsets) > 1 and i in inner:
            sections.append(self._first_offset)
        if len(self._kinds) > 1:
            sections.append(self._first_kind)

        changed = list(decisions)
        for start in sections:
            changed[start + i], changed[start + j] = changed[start + j], changed[start + i]
        return tuple(changed)

    def _rewire(self, decisions: Decisions, rng: np.random.Generator) -> Decisions | None:
        blocks = [i for i in range(len(self._base.blocks)) if self._reach(i) > NUM_PARENTS]
        if not self._connects or not blocks:
            return None

        i, slot = blocks[rng.integers(len(blocks))], rng.integers(NUM_PARENTS)
        first = self._first_connection + NUM_PARENTS * i
        taken = decisions[first : first + NUM_PARENTS]
        unused = [step for step in range(self._reach(i)) if step not in taken]
        return _replaced(decisions, first + int(slot), unused[rng.integers(len(unused))])

    def _change_level(self, decisions: Decisions, rng: np.random.Generator) -> Decisions | None:
        return _change_one(decisions, range(self._first_offset, self._first_kind), len(self._offsets), rng)

    def _change_kind(self, decisions: Decisions, rng: np.random.Generator) -> Decisions | None:
        return _change_one(decisions, range(self._first_kind, len(decisions)), len(self._kinds), rng)


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


def _change_one(decisions: Decisions, section: range, num_options: int, rng: np.random.Generator) -> Decisions | None:
    """Give one of the decisions in a section another option; None where the section is empty."""
    if not section:
        return None

    # One to n - 1 steps around the n options: never the same one again, and all others equally likely.
    index = section[rng.integers(len(section))]
    return _replaced(decisions, index, int(decisions[index] + rng.integers(1, num_options)) % num_options)


def _replaced(decisions: Decisions, index: int, option: int) -> Decisions:
    return (*decisions[:index], option, *decisions[index + 1 :])


def _num_orders(levels: Iterable[int]) -> int:
    counts = Counter(levels)
    return math.factorial(counts.total()) // math.prod(math.factorial(n) for n in counts.values())
