"""Evolution towards a front: several objectives at once, none of which may get better only at another's cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.base import Proposal
from search_space import Decisions, SearchSpace


@dataclass(frozen=True, slots=True)
class _Member:
    key: str
    decisions: Decisions
    objectives: tuple[float, ...]


class ParetoEvolution:
    """Elitist multi-objective evolution, asynchronous.

    The first proposals are drawn from the space. Then each is one mutation of the winner among `tournament_size` random
    members. A result joins when it arrives, each architecture once, and the worst member goes. Better is who is on an
    earlier front of the non-dominated sorting, and on the same front who stands less crowded. Failed evaluations do not
    join. Without objectives the reward is the only one.

    Args:
        space: to draw from and to mutate in.
        population_size: members alive.
        tournament_size: members compared for each parent.
        num_random: members before the first mutation; None for a full population.

    Raises:
        ValueError: sizes below 1, or a tournament or a beginning larger than the population.

    Source: Deb et al., A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II (IEEE TEVC 6, 2002), section III.
    Differs: one child at a time, as results of long evaluations come; mutation alone.
    """

    def __init__(
        self, space: SearchSpace, population_size: int = 50, tournament_size: int = 2, num_random: int | None = None
    ) -> None:
        if not 1 <= tournament_size <= population_size:
            raise ValueError(f"tournament_size must be 1 to population_size ({population_size}), got {tournament_size}")
        if num_random is not None and not 1 <= num_random <= population_size:
            raise ValueError(f"num_random must be 1 to population_size ({population_size}), got {num_random}")
        self._space = space
        self._population_size = population_size
        self._tournament_size = tournament_size
        self._num_random = num_random or population_size
        self._ranked: list[_Member] = []
        """Best first."""

    def ask(self, rng: np.random.Generator) -> Proposal:
        """Draw from the space while there are few members, mutate a tournament's winner afterwards."""
        num_members = len(self._ranked)
        if num_members < self._num_random:
            return Proposal(self._space.sample(rng))
        winner = rng.choice(num_members, size=min(self._tournament_size, num_members), replace=False).min()
        return Proposal(self._space.mutate(self._ranked[winner].decisions, rng))

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Let the result join the population; the worst member leaves when it is full."""
        if reward is None:
            return
        # Decisions that differ may mean one architecture.
        key = self._space.decode(proposal.decisions).key
        if any(member.key == key for member in self._ranked):
            return
        members = [*self._ranked, _Member(key, proposal.decisions, tuple(objectives) or (reward,))]
        order = pareto_order(np.array([member.objectives for member in members]))
        self._ranked = [members[i] for i in order[: self._population_size]]


def pareto_order(objectives: NDArray[np.float64]) -> list[int]:
    """Return the indices of points, best first: by front, then the less crowded, then the earlier.

    Args:
        objectives: (N, M) M numbers to maximise for each of N points.
    """
    fronts, crowding = front_numbers(objectives), np.zeros(len(objectives))
    for front in np.unique(fronts):
        crowding[fronts == front] = crowding_distances(objectives[fronts == front])
    return [int(i) for i in np.lexsort((-crowding, fronts))]


def front_numbers(objectives: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the front of each point, from 0: those that nothing dominates, then those that only front 0 does ...

    Args:
        objectives: (N, M) M numbers to maximise; a point dominates another if it is better in one and worse in none.

    Returns:
        (N,)
    """
    at_least = np.all(objectives[:, None] >= objectives[None], axis=2)
    dominates = at_least & ~at_least.T
    fronts = np.full(len(objectives), -1)
    number = 0
    while len(left := np.flatnonzero(fronts < 0)):
        is_beaten = np.any(dominates[np.ix_(left, left)], axis=0)
        fronts[left[np.logical_not(is_beaten)]] = number
        number += 1
    return fronts


def crowding_distances(objectives: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each point's neighbours on its front are apart, summed over the objectives in units of its extent.

    Points at either end of an objective are infinitely far.

    Args:
        objectives: (N, M) of one front.

    Returns:
        (N,)
    """
    distances = np.zeros(len(objectives))
    for column in objectives.T:
        order = np.argsort(column, kind="stable")
        extent = column[order[-1]] - column[order[0]]
        distances[order[[0, -1]]] = np.inf
        if extent > 0:
            distances[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / extent
    return distances
