"""Asynchronous successive halving: which trials of a search are promoted to more training."""

from bisect import bisect_left, insort
from collections.abc import Collection, Set
from dataclasses import dataclass, field
from typing import TypeAlias

from controllers.base import Proposal
from search_space import Decisions

_Entry: TypeAlias = tuple[float, int, Decisions]
"""Negative reward, order of arrival, decisions: sorts best first, the earlier of equals first."""


class SuccessiveHalving:
    """Promotes the best proposals of each rung to the next.

    Rung 0 holds what the controller proposed. Whenever a rung has results whose rank is within the best
    `1 / reduction` of all its results and that were not promoted yet, the best of them is proposed again one rung
    higher, as long as no more than that share of the rung has been promoted; higher rungs come first. Nobody ever waits
    for a rung to fill.

    Args:
        num_rungs: 1 or more; 1 promotes nothing.
        reduction: one trial in this many is promoted; 2 or more.

    Example:
        >>> halving = SuccessiveHalving(num_rungs=2, reduction=2)
        >>> halving.note(Proposal((0,)), 0.1)
        >>> halving.note(Proposal((1,)), 0.2)
        >>> best = halving.promotion()    # Proposal((1,), rung=1): the better of two
        >>> halving.promotion([best])     # None: it is running

    Source: Li et al., A System for Massively Parallel Hyperparameter Tuning (arXiv 1810.05934), algorithm 2.
    Differs: the paper draws at random and has no bound on the share. A controller that improves finds a new best again
        and again; without the bound evolution promoted more than half of its trials.
    """

    def __init__(self, num_rungs: int = 1, reduction: int = 4) -> None:
        self._reduction = reduction
        self._rungs = [_Rung() for _ in range(num_rungs)]

    def promotion(self, running: Collection[Proposal] = ()) -> Proposal | None:
        """Return the next promotion; None where there is none now. Changes nothing.

        Args:
            running: proposals whose results are not noted yet; what is among them is not promoted twice.
        """
        for above in reversed(range(1, len(self._rungs))):
            running_above = {proposal.decisions for proposal in running if proposal.rung == above}
            decisions = self._rungs[above - 1].next_promoted(running_above, self._reduction)
            if decisions is not None:
                return Proposal(decisions, rung=above)
        return None

    def note(self, proposal: Proposal, reward: float | None) -> None:
        """Take in one result; the same decisions count once in each rung, and failed ones are not promoted."""
        if proposal.rung > 0:
            # A promotion is not tried again, however it ended.
            self._rungs[proposal.rung - 1].mark_promoted(proposal.decisions)

        is_top = proposal.rung == len(self._rungs) - 1
        if not is_top and reward is not None:
            self._rungs[proposal.rung].add(proposal.decisions, reward)


@dataclass(slots=True)
class _Rung:
    """Results of one amount of training.

    Attributes:
        entries: every result, by its decisions.
        waiting: the results whose decisions were not promoted, the best first.
    """

    entries: dict[Decisions, _Entry] = field(default_factory=dict)
    waiting: list[_Entry] = field(default_factory=list)

    def add(self, decisions: Decisions, reward: float) -> None:
        """Take in a result, unless these decisions have one already."""
        if decisions in self.entries:
            return
        entry = (-reward, len(self.entries), decisions)
        self.entries[decisions] = entry
        insort(self.waiting, entry)

    def mark_promoted(self, decisions: Decisions) -> None:
        """Take decisions out of those that wait."""
        entry = self.entries.get(decisions)
        if entry is None:
            return
        index = bisect_left(self.waiting, entry)
        if self.waiting[index : index + 1] == [entry]:
            del self.waiting[index]

    def next_promoted(self, running_above: Set[Decisions], reduction: int) -> Decisions | None:
        """Return the best decisions to promote; None where enough were promoted."""
        # Promotions that are running count as promoted: they are marked only when their results come.
        num_promoted = len(self.entries) - len(self.waiting) + len(running_above)
        if num_promoted >= len(self.entries) // reduction:
            return None

        # Only promoted ones rank above the next that waits. Those are too few, so its rank is within the share too.
        return next(entry[2] for entry in self.waiting if entry[2] not in running_above)
