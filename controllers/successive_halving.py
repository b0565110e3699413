"""Asynchronous successive halving: cheap trials first, the best of them go on to more training."""

from bisect import bisect_left, insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np

from controllers.base import Controller, Proposal
from search_space import Decisions

_Entry: TypeAlias = tuple[float, int, Decisions]
"""Negative reward, order of arrival, decisions: sorts best first, the earlier of equals first."""


@dataclass(slots=True)
class _Rung:
    """Results of one amount of training, the best first; `waiting` are those that were not promoted."""

    results: list[_Entry] = field(default_factory=list)
    waiting: list[_Entry] = field(default_factory=list)
    entries: dict[Decisions, _Entry] = field(default_factory=dict)


class SuccessiveHalving:
    """Wraps any controller: promotes its best proposals before it asks for new ones.

    Rung 0 holds what the controller proposed. Whenever a rung has results whose rank is within the best
    `1 / reduction` of all its results and that were not promoted yet, the best of them is proposed again one rung
    higher, as long as no more than that share of the rung has been promoted; higher rungs come first. Nobody ever waits
    for a rung to fill. The controller is told the results of rung 0 alone, as rewards of different amounts of training
    do not compare.

    Args:
        controller: proposes what rung 0 is filled with; told nothing so far.
        num_rungs: 1 or more; 1 promotes nothing.
        reduction: one of so many is promoted; 2 or more.

    Source: Li et al., A System for Massively Parallel Hyperparameter Tuning (arXiv 1810.05934), algorithm 2.
    Differs: the paper draws at random and has no bound on the share. A controller that improves finds a new best again
        and again; without the bound evolution promoted more than half of its trials.
    """

    min_objectives: ClassVar[int] = 1

    def __init__(self, controller: Controller, num_rungs: int = 1, reduction: int = 4) -> None:
        self._controller = controller
        self._reduction = reduction
        self._rungs = [_Rung() for _ in range(num_rungs)]

    def ask(self, rng: np.random.Generator, running: Collection[Proposal] = ()) -> Proposal:
        """Propose a promotion if there is one, else what the controller asks for.

        Args:
            rng: for the controller, which changes nothing.
            running: proposals whose results are not told yet; what is among them is not promoted twice.
        """
        for number in reversed(range(len(self._rungs) - 1)):
            rung = self._rungs[number]
            above = {proposal.decisions for proposal in running if proposal.rung == number + 1}
            num_promotable = len(rung.results) // self._reduction
            if len(rung.results) - len(rung.waiting) + len(above) >= num_promotable:
                continue
            best = next((entry for entry in rung.waiting if entry[2] not in above), None)
            if best is not None and bisect_left(rung.results, best) < num_promotable:
                return Proposal(best[2], rung=number + 1)
        return self._controller.ask(rng)

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Learn one result; the same decisions count once in each rung, a failed one is not promoted."""
        if proposal.rung == 0:
            self._controller.tell(proposal, reward, objectives)
        else:
            # Promoted, whatever came of it.
            below = self._rungs[proposal.rung - 1]
            if (promoted := below.entries.get(proposal.decisions)) is not None:
                at = bisect_left(below.waiting, promoted)
                if below.waiting[at : at + 1] == [promoted]:
                    del below.waiting[at]
        rung = self._rungs[proposal.rung]
        is_top = proposal.rung == len(self._rungs) - 1
        if is_top or reward is None or proposal.decisions in rung.entries:
            return
        entry = (-reward, len(rung.entries), proposal.decisions)
        rung.entries[proposal.decisions] = entry
        insort(rung.results, entry)
        insort(rung.waiting, entry)
