"""Regularised evolution: mutate the best of a few, forget the oldest."""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from controllers.base import Proposal
from controllers.tournament import Tournament
from search_space import Decisions, SearchSpace


@dataclass(frozen=True, slots=True)
class _Member:
    decisions: Decisions
    reward: float


class RegularizedEvolution:
    """Ageing evolution, asynchronous: a child joins whenever its result arrives.

    The first proposals are drawn from the space. Then each is one mutation of the best among `tournament_size` random
    members. A member dies of age, when `population_size` results have come after it, however good it is. Failed
    evaluations do not join.

    Args:
        space: space to draw from and to mutate in.
        population_size: members alive.
        tournament_size: members compared for each parent; all of them makes it greedy, 1 makes it a random walk.
        num_random: members before the first mutation; None for a full population.

    Raises:
        ValueError: a size out of range, or a tournament or a beginning larger than the population.

    Source: Real et al., Regularized Evolution for Image Classifier Architecture Search (arXiv 1802.01548), algorithm 1.
    """

    min_objectives: ClassVar[int] = 1

    def __init__(
        self, space: SearchSpace, population_size: int = 50, tournament_size: int = 10, num_random: int | None = None
    ) -> None:
        self._space = space
        self._tournament = Tournament(population_size, tournament_size, num_random)
        self._population: deque[_Member] = deque(maxlen=population_size)

    def ask(self, rng: np.random.Generator, running: Collection[Decisions] = ()) -> Proposal:
        """Draw from the space while there are few members, mutate a tournament's winner afterwards."""
        entrants = self._tournament.entrants(len(self._population), rng)
        if entrants is None:
            return Proposal(self._space.sample(rng))

        winner = max((self._population[i] for i in entrants), key=lambda member: member.reward)
        return Proposal(self._space.mutate(winner.decisions, rng))

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Let the result join the population; the oldest member leaves when it is full."""
        if reward is not None:
            self._population.append(_Member(proposal.decisions, reward))
