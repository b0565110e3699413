"""The contract of a search algorithm: it proposes decisions and learns from their rewards."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from search_space import Decisions


@dataclass(frozen=True, slots=True)
class Proposal:
    """Decisions that a controller asks to have evaluated.

    Attributes:
        decisions: one option for every decision of the space.
        log_prob: natural logarithm of the probability they were drawn with, where the controller has one. Results
            arrive late and out of order; a policy that has moved on meanwhile needs to know.
        rung: how often the decisions were promoted to more training; 0 for every proposal of a controller.
    """

    decisions: Decisions
    log_prob: float | None = None
    rung: int = 0


class NothingLeftError(Exception):
    """A controller has proposed all that it can; the message says so in a line for people."""


@runtime_checkable
class Controller(Protocol):
    """Proposes decisions and learns from their rewards; knows no spec, metric, process or file.

    All state comes from `tell`. So a controller is restored by telling a new one the same results in the same order,
    and what `ask` proposes depends on nothing but what was told and `rng`.

    Example, which holds for every controller (`fresh` is a new one with the same options):

        >>> first, second = controller.ask(rng(0)), controller.ask(rng(1))  # two workers are free, nothing is told
        >>> controller.ask(rng(0)) == first  # asking changed nothing
        True
        >>> controller.tell(second, 0.4, (0.4, -1.5))  # results come in any order
        >>> controller.tell(first, None)  # this evaluation failed, or was stopped
        >>> third = controller.ask(rng(2))  # rests on both results
        >>> fresh.tell(second, 0.4, (0.4, -1.5))  # a resumed search tells what is on record ...
        >>> fresh.tell(first, None)
        >>> fresh.ask(rng(2)) == third  # ... and proposes what the stopped one would have
        True
    """

    @property
    def min_objectives(self) -> int:
        """Fewest objectives that make sense for it: 1 where the reward alone is enough, 2 where it looks for a front.

        A search whose reward has fewer metrics is refused before its first trial.
        """
        ...

    def ask(self, rng: np.random.Generator, running: Collection[Decisions] = ()) -> Proposal:
        """Propose decisions. Draws from `rng`, changes nothing; may be called many times before the next `tell`.

        Args:
            rng: the randomness.
            running: what was asked for and is not told yet; one that wants nothing twice leaves it out.

        Raises:
            NothingLeftError: everything that it would propose was told or is running; a search then ends.
        """
        ...

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Learn one result, deterministically: any randomness here comes from a seed given to the constructor.

        Takes any proposal that the space can decode, also one that this controller never made.

        Args:
            proposal: what was evaluated.
            reward: number to maximise; None where the evaluation failed, the proposal was rejected, or its training was
                stopped. What that would have reached nobody knows: it is no parent and teaches no model.
            objectives: what the reward is a compromise of, each to be maximised; equally many throughout a search, none
                for a failure. A controller whose `min_objectives` is 1 ignores them.
        """
        ...
