"""Random search: the baseline that every other controller has to beat."""

from collections.abc import Collection, Sequence
from typing import ClassVar

import numpy as np

from controllers.base import Proposal
from search_space import Decisions, SearchSpace


class RandomSearch:
    """Proposes architectures uniformly from the space.

    Args:
        space: space to draw from.
    """

    min_objectives: ClassVar[int] = 1

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def ask(self, rng: np.random.Generator, running: Collection[Decisions] = ()) -> Proposal:
        """Draw from the space."""
        return Proposal(self._space.sample(rng))

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Ignore the result."""
