"""Local search: climb from the best so far by single mutations, and start again elsewhere when stuck."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from controllers.base import Proposal
from foundation import check_range
from search_space import Decisions, SearchSpace

MAX_TRIES = 4
"""Most mutations drawn to find one whose result is not known."""


@dataclass(frozen=True, slots=True)
class _Result:
    decisions: Decisions
    reward: float


class LocalSearch:
    """Hill climbing with restarts, asynchronous.

    Every proposal is one mutation of the best architecture of the climb, one that is neither known nor running if such
    a one is easily found. When `patience` results in a row were no better, the peak is left and the next climb begins
    at an architecture drawn from the space. A result that is more like the peak that was left than like the new climb
    came late from the old one: it does not lead back there unless it beats the peak, which then was none.

    Args:
        space: space to draw from and to mutate in.
        patience: results without improvement, failed ones included, after which a climb ends.

    Raises:
        ValueError: patience out of range.

    Source: White et al., Exploring the Loss Landscape in Neural Architecture Search (arXiv 2005.02960).
    """

    min_objectives: ClassVar[int] = 1

    def __init__(self, space: SearchSpace, patience: int = 200) -> None:
        check_range("patience", patience, 1, 10_000_000, "no run has more trials")
        self._space = space
        self._patience = patience
        self._best: _Result | None = None
        self._left_peak: _Result | None = None
        self._num_stuck = 0
        self._known: set[Decisions] = set()

    def ask(self, rng: np.random.Generator, running: Collection[Decisions] = ()) -> Proposal:
        """Mutate the best of the climb; draw from the space where none has begun."""
        if self._best is None:
            return Proposal(self._space.sample(rng))

        for _ in range(MAX_TRIES):
            decisions = self._space.mutate(self._best.decisions, rng)
            if decisions not in self._known and decisions not in running:
                break
        return Proposal(decisions)

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Move to the result if it is better; give the climb up when nothing better came for long."""
        self._known.add(proposal.decisions)
        is_late = self._is_late(proposal.decisions)

        if reward is not None and reward > self._reward_to_beat(is_late):
            self._best, self._num_stuck = _Result(proposal.decisions, reward), 0
            if is_late:
                # The climb that was given up resumes here: it had not reached a peak.
                self._left_peak = None
            return

        # A late result says nothing about the climb under way.
        if self._best is None or is_late:
            return
        self._num_stuck += 1
        if self._num_stuck >= self._patience:
            self._left_peak, self._best, self._num_stuck = self._best, None, 0

    def _is_late(self, decisions: Decisions) -> bool:
        """Return whether a result belongs to the climb that was given up rather than to the one under way."""
        if self._left_peak is None:
            return False

        like_peak = _num_equal(decisions, self._left_peak.decisions)
        if self._best is None:
            # Architectures drawn apart have less than half of their decisions in common, mutants nearly all.
            return like_peak > len(decisions) / 2
        return like_peak > _num_equal(decisions, self._best.decisions)

    def _reward_to_beat(self, is_late: bool) -> float:
        rival = self._left_peak if is_late else self._best
        return -math.inf if rival is None else rival.reward


def _num_equal(first: Decisions, second: Decisions) -> int:
    return sum(a == b for a, b in zip(first, second, strict=True))
