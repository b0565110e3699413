"""The SpineNet space: the order of blocks of given levels, what feeds each, and its level and kind."""

import math
import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search_space.base import Decision, Decisions
from search_space.candidate import Candidate
from search_space.decision_layout import NUM_PARENTS, DecisionLayout
from search_space.features import ArchitectureFeatures
from search_space.level_budget import LevelBudget
from search_space.mutation import MUTATIONS, Mutation
from search_space.path_rule import can_keep_paths, may_close_a_path
from search_space.resolution import levels_above
from search_space.spec import NUM_STEM_PARENTS, ArchSpec, BlockSpec

LEVEL_OFFSETS = (-1, 0, 1, 2)
WINDOW = 5
"""Features before an intermediate block among which it looks for parents (section 5.1)."""
NUM_TRIES = 100
"""Most mutations of one sort that are drawn to find one that keeps the resolution paths."""


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
        self._layout = DecisionLayout(base, permutation, connections, level_offsets, kinds, window)
        self._levels = LevelBudget(self._layout)

        used_kinds = self._layout.kinds or tuple(dict.fromkeys(block.kind for block in base.blocks))
        self._features = ArchitectureFeatures(self._layout.num_intermediates, self._layout.output_options, used_kinds)

        self._keeps_paths = resolution_paths
        if resolution_paths and permutation and not connections:
            raise ValueError("resolution_paths=true needs connections=true where permutation=true")
        if resolution_paths and not connections and not can_keep_paths(self._layout, ()):
            raise ValueError("resolution_paths=true leaves nothing of this space: no level offsets open a path in base")

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """(D,) in the order in which they are taken."""
        return self._layout.decisions

    def legal(self, prefix: Sequence[int]) -> tuple[int, ...]:
        """Return the options that may follow `prefix`; see `SearchSpace.legal`."""
        layout = self._layout
        index = len(prefix)
        if index >= len(layout.decisions):
            raise ValueError(f"the space has {len(layout.decisions)} decisions, the prefix already {index}")
        options = range(layout.decisions[index].num_options)

        # As many intermediates of a level as the base has, and each output's level once. The counts add up to the
        # number of positions, so that an option is always left.
        num_inner = layout.num_intermediates
        if layout.permutes and index < num_inner:
            taken = Counter(prefix)
            return tuple(o for o in options if taken[o] < layout.inner_counts[layout.inner_options[o]])
        if layout.permutes and index < layout.first_connection:
            return tuple(o for o in options if o not in prefix[num_inner:])

        # The second parent differs from the first.
        left = tuple(options)
        is_connection = layout.first_connection <= index < layout.first_offset
        if is_connection and (index - layout.first_connection) % NUM_PARENTS == 1:
            left = tuple(o for o in options if o != prefix[index - 1])

        if self._keeps_paths and may_close_a_path(layout, index):
            left = tuple(o for o in left if can_keep_paths(layout, (*prefix, o)))
        return left

    def sample(self, rng: np.random.Generator) -> Decisions:
        """Draw an architecture; every spec of the space is equally likely."""
        # What is left out is drawn and thrown away: whatever else changed a draw would favour some of the rest.
        decisions = self._draw(rng)
        while self._keeps_paths and not can_keep_paths(self._layout, decisions):
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
        # In random order until one is possible: the parts that are searched keep equal chances.
        for i in rng.permutation(len(MUTATIONS)):
            changed = self._changed(MUTATIONS[i], decisions, rng)
            if changed is not None:
                return changed
        if self._keeps_paths:
            raise ValueError("no change of one part was found that keeps the resolution paths")
        raise ValueError("the space holds one architecture only: there is nothing to mutate")

    def decode(self, decisions: Decisions) -> Candidate:
        """Return the spec that the decisions describe, without a scale; see `SearchSpace.decode`."""
        if len(decisions) != len(self._layout.decisions):
            raise ValueError(f"the space has {len(self._layout.decisions)} decisions, got {len(decisions)}")
        if not self._is_legal(decisions):
            raise ValueError(self._first_illegal(decisions))

        blocks = tuple(self._layout.block(i, decisions) for i in range(self._layout.num_blocks))
        return Candidate(ArchSpec(self._layout.base.stem, blocks))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """(F,) the name of each feature; docs/features.md explains them."""
        return self._features.names

    def features(self, decisions: Decisions) -> tuple[float, ...]:
        """Return what would be built as (F,) figures; see `SearchSpace.features`."""
        return self._features.of(self.decode(decisions).spec)

    def encode(self, candidate: Candidate) -> Decisions:
        """Return decisions that decode to the candidate's spec; see `SearchSpace.encode`.

        Where level offsets let one level come from several, the smallest base levels are taken first.
        """
        layout, spec = self._layout, candidate.spec
        if spec.stem != layout.base.stem:
            raise ValueError("the spec's stem is not the space's")
        if [block.is_output for block in spec.blocks] != [block.is_output for block in layout.base.blocks]:
            raise ValueError(
                f"the space has {layout.num_intermediates} intermediate blocks and then "
                f"{len(layout.output_options)} outputs, the spec has another layout"
            )

        levels = [block.level for block in spec.blocks]
        inner, outer = levels[: layout.num_intermediates], levels[layout.num_intermediates :]
        if sorted(outer) != list(layout.output_options):
            raise ValueError(f"outputs must have levels {list(layout.output_options)}, got {sorted(outer)}")
        if not layout.permutes and outer != list(layout.base.output_levels):
            raise ValueError(f"outputs must come in the order {list(layout.base.output_levels)}, got {outer}")
        bases = self._levels.bases_of(inner)

        decisions = list[int]()
        if layout.permutes:
            decisions += [layout.inner_options.index(base) for base in bases]
            decisions += [layout.output_options.index(level) for level in outer]

        for i, block in enumerate(spec.blocks):
            decisions += self._encode_parents(i, block)

        if len(layout.offsets) > 1:
            decisions += [layout.offsets.index(level - base) for level, base in zip(inner, bases, strict=True)]

        # No kinds leave each block its own; a single kind is every block's, and there is nothing to decide.
        for i, block in enumerate(spec.blocks):
            allowed = layout.kinds or (layout.base.blocks[i].kind,)
            if block.kind not in allowed:
                raise ValueError(f"block {i}: kind must be {' or '.join(allowed)}, got {block.kind}")
            if len(layout.kinds) > 1:
                decisions.append(layout.kinds.index(block.kind))

        if self._keeps_paths and not can_keep_paths(layout, decisions):
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
        layout = self._layout
        num_inner, num_outputs = layout.num_intermediates, len(layout.output_options)
        labelled = math.factorial(num_inner) * math.factorial(num_outputs) if layout.permutes else 1
        # Exchanging blocks of one level changes nothing: so many labelled orders are one order.
        alike = math.prod(math.factorial(n) for n in layout.inner_counts.values()) if layout.permutes else 1
        ways_to_connect = (math.comb(layout.reach(i), NUM_PARENTS) for i in range(layout.num_blocks))

        return SpaceSize(
            labelled_orders=labelled,
            orders=labelled // alike,
            connections=math.prod(ways_to_connect) if layout.connects else 1,
            levels=len(layout.offsets) ** num_inner,
            kinds=len(layout.kinds) ** layout.num_blocks if layout.kinds else 1,
        )

    def _draw(self, rng: np.random.Generator) -> Decisions:
        """Draw an architecture of all, those that `resolution_paths` leaves out included."""
        layout = self._layout
        # Levels come first and their bases follow from them. Drawn the other way round, levels that several bases lead
        # to would come more often than others.
        decisions = list[int]()
        levels = self._levels.sample(rng)
        bases = self._levels.bases_of(levels)

        if layout.permutes:
            decisions += [layout.inner_options.index(base) for base in bases]
            decisions += rng.permutation(len(layout.output_options)).tolist()

        if layout.connects:
            for i in range(layout.num_blocks):
                # The second is drawn among one option less, and steps over the first. Both orders of a pair decode to
                # the same block, so that all pairs are equally likely.
                first, second = rng.integers(layout.reach(i)), rng.integers(layout.reach(i) - 1)
                decisions += [int(first), int(second + (second >= first))]

        if len(layout.offsets) > 1:
            decisions += [layout.offsets.index(level - base) for level, base in zip(levels, bases, strict=True)]

        if len(layout.kinds) > 1:
            decisions += rng.integers(len(layout.kinds), size=layout.num_blocks).tolist()

        return tuple(decisions)

    def _is_legal(self, decisions: Decisions) -> bool:
        """Return whether all decisions are legal, at once: asking `legal` at each would take most of a decoding."""
        layout = self._layout
        if not all(0 <= option < number for option, number in zip(decisions, layout.num_options, strict=True)):
            return False

        # Every level as often as the base has it.
        num_inner = layout.num_intermediates
        if layout.permutes:
            taken = Counter(decisions[:num_inner])
            outer = decisions[num_inner : layout.first_connection]
            if any(taken[o] != layout.inner_counts[level] for o, level in enumerate(layout.inner_options)):
                return False
            if len(set(outer)) != len(outer):
                return False

        first, second = (
            decisions[layout.first_connection + slot : layout.first_offset : NUM_PARENTS] for slot in (0, 1)
        )
        if any(map(operator.eq, first, second)):
            return False
        return not self._keeps_paths or can_keep_paths(layout, decisions)

    def _first_illegal(self, decisions: Decisions) -> str:
        """Return a message about the first decision that is not legal."""
        for i, option in enumerate(decisions):
            legal = self.legal(decisions[:i])
            if option not in legal:
                return f"{self._layout.decisions[i].name}: legal options are {list(legal)}, got {option}"
        raise AssertionError(f"every decision is legal by itself, but not all are: {decisions}")

    def _encode_parents(self, i: int, block: BlockSpec) -> list[int]:
        """Return the decisions for the parents of block `i`; none where connections are not searched."""
        if not self._layout.connects:
            if block.parents != self._layout.base.blocks[i].parents:
                raise ValueError(
                    f"block {i}: parents must be {list(self._layout.base.blocks[i].parents)}, as in the base"
                )
            return []

        steps = [NUM_STEM_PARENTS + i - 1 - parent for parent in block.parents]
        if len(steps) != NUM_PARENTS or max(steps) >= self._layout.reach(i):
            raise ValueError(
                f"block {i}: needs {NUM_PARENTS} parents among the {self._layout.reach(i)} features before it, "
                f"got {list(block.parents)}"
            )
        return steps

    def _changed(self, change: Mutation, decisions: Decisions, rng: np.random.Generator) -> Decisions | None:
        """Return decisions with one change of a sort; None where there is none, or none found that keeps the paths."""
        for _ in range(NUM_TRIES if self._keeps_paths else 1):
            changed = change(self._layout, decisions, rng)
            if changed is None or not self._keeps_paths or can_keep_paths(self._layout, changed):
                return changed
        return None
