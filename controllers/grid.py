"""Grid search: every architecture of a small space once."""

import math
from collections.abc import Collection, Sequence
from typing import ClassVar

import numpy as np

from controllers.base import NothingLeftError, Proposal
from foundation import InputError, check_range
from search_space import Decisions, SearchSpace


class GridSearch:
    """Proposes each architecture of the space once, in an order that is drawn, so that any beginning is a fair sample.

    What failed is not proposed again. Where several decisions give one architecture, the first of them stand for it.

    Args:
        space: space whose architectures are counted, which takes a fraction of a millisecond each.
        max_points: most architectures that the space may have.

    Raises:
        InputError: the space has more.
        ValueError: max_points out of range.
    """

    min_objectives: ClassVar[int] = 1

    def __init__(self, space: SearchSpace, max_points: int = 10_000) -> None:
        check_range("max_points", max_points, 1, 1_000_000, "all are held in memory")
        self._space = space
        self._points = _points(space, max_points)
        self._told: set[str] = set()

    def ask(self, rng: np.random.Generator, running: Collection[Decisions] = ()) -> Proposal:
        """Draw one of the architectures that were neither told nor are running."""
        taken = self._told.union(self._space.decode(decisions).key for decisions in running)
        left = [decisions for key, decisions in self._points.items() if key not in taken]
        if not left:
            raise NothingLeftError(f"all {len(self._points)} architectures of the space were proposed")
        return Proposal(left[rng.integers(len(left))])

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Note that the architecture is done, whatever came out."""
        self._told.add(self._space.decode(proposal.decisions).key)


def _points(space: SearchSpace, max_points: int) -> dict[str, Decisions]:
    """Return the first decisions of each architecture, by its key, in the order of the decisions.

    Raises:
        InputError: there are more than `max_points`.
    """
    points: dict[str, Decisions] = {}
    prefixes: list[Decisions] = [()]
    while prefixes:
        prefix = prefixes.pop()
        if len(prefix) < len(space.decisions):
            prefixes += [(*prefix, option) for option in reversed(space.legal(prefix))]
            continue

        points.setdefault(space.decode(prefix).key, prefix)
        if len(points) > max_points:
            most = math.prod(float(decision.num_options) for decision in space.decisions)
            raise InputError(
                f"controller=grid: the space has more than {max_points} architectures (its decisions have {most:.3g} "
                "combinations); search it with another controller, or raise controller.max_points"
            )
    return points
