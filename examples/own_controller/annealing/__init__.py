"""Simulated annealing, a controller whose `tell` needs randomness."""

import math
from collections.abc import Collection, Sequence
from typing import ClassVar

import numpy as np

from controllers import Proposal
from search_space import Decisions, SearchSpace


class SimulatedAnnealing:
    """Walks by single mutations; accepts a worse one with a probability that falls as it cools.

    Args:
        space: to draw from and to mutate in.
        seed: seed of what is accepted.
        temperature: how much worse, in reward, a mutation may be to be accepted with probability 1 / e at first.
        cooling: factor of the temperature after each result.

    Source: Kirkpatrick et al., Optimization by Simulated Annealing (Science 220, 1983).
    """

    min_objectives: ClassVar[int] = 1

    def __init__(self, space: SearchSpace, seed: int = 0, temperature: float = 0.1, cooling: float = 0.99) -> None:
        self._space = space
        self._rng = np.random.default_rng(seed)
        self._temperature = temperature
        self._cooling = cooling
        self._current: tuple[Decisions, float] | None = None

    def ask(self, rng: np.random.Generator, running: Collection[Decisions] = ()) -> Proposal:
        """Mutate the architecture accepted last; draw from the space before there is one."""
        if self._current is None:
            return Proposal(self._space.sample(rng))
        return Proposal(self._space.mutate(self._current[0], rng))

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Accept the result, or not; draws from the generator of the constructor's seed."""
        if reward is None:
            return
        loss = 0.0 if self._current is None else max(self._current[1] - reward, 0.0)
        if self._rng.random() < math.exp(-loss / self._temperature):
            self._current = proposal.decisions, reward
        self._temperature *= self._cooling
