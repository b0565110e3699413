"""What a search algorithm must offer."""

from collections.abc import Sequence
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
        rung: how often the decisions were promoted to more training; see `SuccessiveHalving`.
    """

    decisions: Decisions
    log_prob: float | None = None
    rung: int = 0


@runtime_checkable
class Controller(Protocol):
    """Proposes decisions and learns from their rewards; knows no spec, metric, process or file.

    All state comes from `tell`. So a controller is restored by telling a new one the same things in the same order,
    and what `ask` proposes depends on nothing but what was told and `rng`.
    """

    @property
    def min_objectives(self) -> int:
        """How many objectives its search needs at least: 1 where the reward alone is enough."""
        ...

    def ask(self, rng: np.random.Generator) -> Proposal:
        """Propose decisions. Draws from `rng`, changes nothing; may be called many times before the next `tell`."""
        ...

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Learn one result. Deterministic: randomness that is needed here comes from a seed of the constructor.

        Takes any proposal that the space can decode, also one that this controller never made.

        Args:
            proposal: what was evaluated.
            reward: to be maximised; None where the evaluation failed or the proposal was rejected.
            objectives: what the reward is a compromise of, each to be maximised; always as many. A controller that
                looks for one best architecture ignores them.
        """
        ...
