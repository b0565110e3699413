"""What a search space must offer, so that any controller can search it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from search_space.spec import ArchSpec

Decisions: TypeAlias = tuple[int, ...]
"""One chosen option for every decision of a space, in the space's order."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One categorical choice.

    Attributes:
        name: which choice. What stands behind the last dot is the same for choices of the same sort, as `block3.kind`
            and `block4.kind`; digits at the end only count.
        options: a word for each option, in order; `Decisions` hold positions among them.
    """

    name: str
    options: tuple[str, ...]

    @property
    def num_options(self) -> int:
        """How many options there are."""
        return len(self.options)


@runtime_checkable
class SearchSpace(Protocol):
    """Every architecture that may be proposed, as fixed-length vectors of decisions.

    D is the number of decisions. Randomness always comes in as `rng`.
    """

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """(D,) in the order in which they are taken."""
        ...

    def legal(self, prefix: Sequence[int]) -> tuple[int, ...]:
        """Return the options of decision `len(prefix)` after `prefix`, ascending, never empty.

        Any vector built by taking legal options one after another can be decoded.

        Raises:
            ValueError: the prefix is as long as the space or longer.
        """
        ...

    def sample(self, rng: np.random.Generator) -> Decisions:
        """Draw an architecture; every spec of the space is equally likely."""
        ...

    def mutate(self, decisions: Decisions, rng: np.random.Generator) -> Decisions:
        """Return another spec that differs by one change that a person would name."""
        ...

    def decode(self, decisions: Decisions) -> ArchSpec:
        """Return the spec that the decisions describe.

        Raises:
            ValueError: the wrong number of decisions, or one that is not legal.
        """
        ...

    def encode(self, spec: ArchSpec) -> Decisions:
        """Return decisions that decode to `spec`.

        Raises:
            ValueError: the spec is not in the space; the message says which rule it breaks.
        """
        ...
