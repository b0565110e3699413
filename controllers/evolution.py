"""Regularised evolution: mutate the best of a few, forget the oldest."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controllers.base import Proposal
from search_space import Decisions, SearchSpace


@dataclass(frozen=True, slots=True)
class _Member:
    decisions: Decisions
    reward: float


class RegularizedEvolution:
    """Ageing evolution, asynchronous: a child joins whenever its result arrives.

    Until the population is full, architectures are drawn from the space. Then each proposal is one mutation of the
    best among `tournament_size` random members. A member dies of age, when `population_size` results have come after
    it, however good it is. Failed evaluations do not join.

    Args:
        space: to draw from and to mutate in.
        population_size: members alive.
        tournament_size: members compared for each parent; all of them makes it greedy, 1 makes it a random walk.

    Raises:
        ValueError: sizes below 1, or a tournament larger than the population.

    Source: Real et al., Regularized Evolution for Image Classifier Architecture Search (arXiv 1802.01548), algorithm 1.
    """

    def __init__(self, space: SearchSpace, population_size: int = 50, tournament_size: int = 10) -> None:
        if not 1 <= tournament_size <= population_size:
            raise ValueError(f"tournament_size must be 1 to population_size ({population_size}), got {tournament_size}")
        self._space = space
        self._population_size = population_size
        self._tournament_size = tournament_size
        self._population: deque[_Member] = deque(maxlen=population_size)

    def ask(self, rng: np.random.Generator) -> Proposal:
        """Draw from the space while the population grows, mutate a tournament's winner afterwards."""
        if len(self._population) < self._population_size:
            return Proposal(self._space.sample(rng))
        entrants = rng.choice(self._population_size, size=self._tournament_size, replace=False)
        winner = max((self._population[i] for i in entrants), key=lambda member: member.reward)
        return Proposal(self._space.mutate(winner.decisions, rng))

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Let the result join the population; the oldest member leaves when it is full."""
        if reward is not None:
            self._population.append(_Member(proposal.decisions, reward))
