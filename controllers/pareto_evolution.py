"""Evolution towards a front: the architectures that no other beats in every objective at once."""

from collections.abc import Collection, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from controllers.base import Proposal
from controllers.tournament import Tournament
from foundation import check_range
from search_space import Decisions, SearchSpace


class ParetoEvolution:
    """Elitist multi-objective evolution, asynchronous.

    The first proposals are drawn from the space. Then each is one mutation of the winner among `tournament_size` random
    members. A result joins when it arrives, each architecture once, and the worst member leaves. A member on an earlier
    front of the non-dominated sorting is better; on the same front, the less crowded one is. Failed evaluations do not
    join. Without objectives the reward is the only one.

    Args:
        space: space to draw from and to mutate in.
        population_size: members alive.
        tournament_size: members compared for each parent.
        num_random: members before the first mutation; None for a full population.

    Raises:
        ValueError: a size out of range, or a tournament or a beginning larger than the population.

    Source: Deb et al., A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II (IEEE TEVC 6, 2002), section III.
    Differs: one child at a time, as results of long evaluations come; mutation alone.
    """

    min_objectives: ClassVar[int] = 2

    def __init__(
        self, space: SearchSpace, population_size: int = 50, tournament_size: int = 2, num_random: int | None = None
    ) -> None:
        check_range("population_size", population_size, 1, 10_000, "each result is compared with all pairs of members")
        self._space = space
        self._population_size = population_size
        self._tournament = Tournament(population_size, tournament_size, num_random)
        self._members: list[Decisions] = []
        self._objectives: NDArray[np.float64] | None = None
        self._fronts = np.zeros(0, dtype=np.int64)

    def ask(self, rng: np.random.Generator, running: Collection[Decisions] = ()) -> Proposal:
        """Draw from the space while there are few members, mutate a tournament's winner afterwards."""
        entrants = self._tournament.entrants(len(self._members), rng)
        if entrants is None or self._objectives is None:
            return Proposal(self._space.sample(rng))

        # Members of other fronts lose against everyone on the best.
        best_front = self._fronts == self._fronts[entrants].min()  # (N,)
        crowding = np.full(len(self._members), -1.0)
        crowding[best_front] = crowding_distances(self._objectives[best_front])

        # Sorted, so that the oldest of equals wins in whatever order they were drawn.
        winner = max(sorted(entrants.tolist()), key=crowding.__getitem__)
        return Proposal(self._space.mutate(self._members[winner], rng))

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Let the result join the population; the worst member leaves when it is full."""
        if reward is None:
            return
        point = np.array([tuple(objectives) or (reward,)], dtype=np.float64)  # (1, M)
        points = point if self._objectives is None else np.concatenate([self._objectives, point])  # (N + 1, M)
        if self._is_member(proposal.decisions, points):
            return

        self._members.append(proposal.decisions)
        self._objectives, self._fronts = points, front_numbers(points)
        if len(self._members) > self._population_size:
            # Only the last front shrinks, so the numbers of all others stay.
            worst = self._worst_of_last_front(points)
            del self._members[worst]
            self._objectives, self._fronts = np.delete(points, worst, axis=0), np.delete(self._fronts, worst)

    def _worst_of_last_front(self, points: NDArray[np.float64]) -> int:
        """Return the most crowded member of the last front, the youngest of equals."""
        last = np.flatnonzero(self._fronts == self._fronts.max())[::-1]
        return int(last[crowding_distances(points[last]).argmin()])

    def _is_member(self, decisions: Decisions, points: NDArray[np.float64]) -> bool:
        """Return whether an architecture, whose objectives are the last of `points`, is in the population.

        Decisions that differ may mean one architecture, which has the same objectives.
        """
        equal = np.flatnonzero(np.all(points[:-1] == points[-1], axis=1))
        if len(equal) == 0:
            return False
        return self._key(decisions) in {self._key(self._members[i]) for i in equal}

    def _key(self, decisions: Decisions) -> str:
        return self._space.decode(decisions).key


def front_numbers(objectives: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the front of each point: 0 for the non-dominated, 1 for those that only front 0 dominates, and so on.

    Args:
        objectives: (N, M) M numbers to maximise; a point dominates another if it is better in one and worse in none.

    Returns:
        (N,)
    """
    at_least = np.all(objectives[:, None] >= objectives[None], axis=2)  # (N, N)
    dominates = at_least & ~at_least.T  # (N, N)

    fronts = np.full(len(objectives), -1)  # (N,), -1 where not known yet
    number = 0
    while np.any(fronts < 0):
        left = np.flatnonzero(fronts < 0)
        is_dominated = np.any(dominates[np.ix_(left, left)], axis=0)
        fronts[left[~is_dominated]] = number
        number += 1
    return fronts


def crowding_distances(objectives: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far apart each point's neighbours on its front are, in units of the front's extent.

    The distance is summed over the objectives. Points at either end of an objective are infinitely far.

    Args:
        objectives: (N, M) of one front.

    Returns:
        (N,)
    """
    distances = np.zeros(len(objectives))
    for column in objectives.T:
        order = np.argsort(column, kind="stable")
        distances[order[[0, -1]]] = np.inf

        extent = column[order[-1]] - column[order[0]]
        if extent > 0:
            distances[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / extent
    return distances
