"""Local search: climb from the best so far by single mutations, and start again elsewhere when stuck."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controllers.base import Proposal
from search_space import Decisions, SearchSpace

MAX_TRIES = 4
"""Mutations drawn to find one whose result is not known."""


@dataclass(frozen=True, slots=True)
class _Place:
    decisions: Decisions
    reward: float


class LocalSearch:
    """Hill climbing with restarts, asynchronous.

    Every proposal is one mutation of the best architecture of the climb, one not tried before if such a one is easily
    found. When `patience` results in a row were no better, the peak is left and the next climb begins at an
    architecture drawn from the space. Results of the old climb that arrive late are told from those of the new one by
    likeness, and count only if they beat the peak that was left: then it was none, and the old climb goes on.

    Args:
        space: to draw from and to mutate in.
        patience: results without improvement, failed ones included, after which a climb ends.

    Raises:
        ValueError: patience below 1.

    Source: White et al., Exploring the Loss Landscape in Neural Architecture Search (arXiv 2005.02960).
    """

    def __init__(self, space: SearchSpace, patience: int = 400) -> None:
        if patience < 1:
            raise ValueError(f"patience must be 1 or more, got {patience}")
        self._space = space
        self._patience = patience
        self._place: _Place | None = None
        self._peak: _Place | None = None
        self._num_stuck = 0
        self._known: set[Decisions] = set()

    def ask(self, rng: np.random.Generator) -> Proposal:
        """Mutate the best of the climb; draw from the space where none has begun."""
        if self._place is None:
            return Proposal(self._space.sample(rng))
        for _ in range(MAX_TRIES):
            decisions = self._space.mutate(self._place.decisions, rng)
            if decisions not in self._known:
                break
        return Proposal(decisions)

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Move to the result if it is better; give the climb up when nothing better came for long."""
        self._known.add(proposal.decisions)
        if reward is not None and self._is_late(proposal.decisions, reward):
            return
        if reward is not None and (self._place is None or reward > self._place.reward):
            self._place, self._num_stuck = _Place(proposal.decisions, reward), 0
            return
        self._num_stuck += 1
        if self._place is not None and self._num_stuck >= self._patience:
            self._peak, self._place, self._num_stuck = self._place, None, 0

    def _is_late(self, decisions: Decisions, reward: float) -> bool:
        """Return whether a result belongs to the climb that was given up."""
        return self._peak is not None and reward <= self._peak.reward and _are_alike(decisions, self._peak.decisions)


def _are_alike(first: Decisions, second: Decisions) -> bool:
    """Return whether more than half of the decisions are the same, as in few architectures drawn apart."""
    return 2 * sum(a == b for a, b in zip(first, second, strict=True)) > len(first)
