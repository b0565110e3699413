"""A search space of one decision a block: its kind. Levels and connections are those of a base architecture."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from search_space import ArchSpec, BlockSpec, Candidate, Decision, Decisions, published_spec

KINDS = ("bottleneck", "residual")


class KindsOnly:
    """Every way to choose a kind for each block of a published architecture.

    Args:
        base: its published name.

    Raises:
        ValueError: there is no architecture of that name.
    """

    def __init__(self, base: str = "spinenet-49") -> None:
        self._base = published_spec(base)
        self.decisions = tuple(Decision(f"block{i}.kind", KINDS) for i in range(len(self._base.blocks)))
        self.feature_names = tuple(decision.name for decision in self.decisions)

    def legal(self, prefix: Sequence[int]) -> tuple[int, ...]:
        """Return both options, whatever was taken before."""
        if len(prefix) >= len(self.decisions):
            raise ValueError(f"the space has {len(self.decisions)} decisions, the prefix already {len(prefix)}")
        return tuple(range(len(KINDS)))

    def sample(self, rng: np.random.Generator) -> Decisions:
        """Draw a kind for each block."""
        return tuple(rng.integers(len(KINDS), size=len(self.decisions)).tolist())

    def mutate(self, decisions: Decisions, rng: np.random.Generator) -> Decisions:
        """Change the kind of one block."""
        i = int(rng.integers(len(decisions)))
        return (*decisions[:i], 1 - decisions[i], *decisions[i + 1 :])

    def decode(self, decisions: Decisions) -> Candidate:
        """Return the base with the kinds that were decided."""
        if len(decisions) != len(self.decisions):
            raise ValueError(f"the space has {len(self.decisions)} decisions, got {len(decisions)}")
        if not all(0 <= option < len(KINDS) for option in decisions):
            raise ValueError(f"legal options are 0 and 1, got {list(decisions)}")
        blocks = zip(self._base.blocks, decisions, strict=True)
        return Candidate(
            replace(self._base, blocks=tuple(replace(block, kind=KINDS[option]) for block, option in blocks))
        )

    def features(self, decisions: Decisions) -> tuple[float, ...]:
        """Return the kind of each block: 0 or 1."""
        self.decode(decisions)
        return tuple(map(float, decisions))

    def encode(self, candidate: Candidate) -> Decisions:
        """Return the decisions of an architecture that differs from the base in kinds alone."""
        if _without_kinds(candidate.spec) != _without_kinds(self._base):
            raise ValueError("levels or connections are not those of the base")
        return tuple(KINDS.index(block.kind) for block in candidate.spec.blocks)


def _without_kinds(spec: ArchSpec) -> tuple[object, ...]:
    def of_block(block: BlockSpec) -> BlockSpec:
        return replace(block, kind=KINDS[0])

    return spec.stem, tuple(map(of_block, spec.blocks))
