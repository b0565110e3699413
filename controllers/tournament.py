"""Tournament selection: when a population begins to breed, and which members compete to be a parent."""

import numpy as np
from numpy.typing import NDArray

from foundation import check_range


class Tournament:
    """Draws the members that are compared for each parent.

    Args:
        population_size: members alive.
        tournament_size: members compared for each parent.
        num_random: members before the first mutation; None for a full population.

    Raises:
        ValueError: a size out of range, or a tournament or a beginning larger than the population.
    """

    def __init__(self, population_size: int, tournament_size: int, num_random: int | None) -> None:
        check_range("population_size", population_size, 1, 10_000_000, "no run has more trials")
        if not 1 <= tournament_size <= population_size:
            raise ValueError(f"tournament_size must be 1 to population_size ({population_size}), got {tournament_size}")
        if num_random is not None and not 1 <= num_random <= population_size:
            raise ValueError(f"num_random must be 1 to population_size ({population_size}), got {num_random}")

        self._tournament_size = tournament_size
        self._num_random = num_random or population_size

    def entrants(self, num_members: int, rng: np.random.Generator) -> NDArray[np.int64] | None:
        """Return the indices of the members to compare; None while there are too few to mutate any."""
        if num_members < self._num_random:
            return None
        return rng.choice(num_members, size=min(self._tournament_size, num_members), replace=False)
