"""What a search algorithm must offer."""

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
    """

    decisions: Decisions
    log_prob: float | None = None


@runtime_checkable
class Controller(Protocol):
    """Proposes decisions and learns from their rewards; knows no spec, metric, process or file.

    All state comes from `tell`. So a controller is restored by telling a new one the same things in the same order,
    and what `ask` proposes depends on nothing but what was told and `rng`.
    """

    def ask(self, rng: np.random.Generator) -> Proposal:
        """Propose decisions. Draws from `rng`, changes nothing; may be called many times before the next `tell`."""
        ...

    def tell(self, proposal: Proposal, reward: float | None) -> None:
        """Learn one result; None means that the evaluation failed. Draws nothing.

        Takes any proposal that the space can decode, also one that this controller never made.
        """
        ...
