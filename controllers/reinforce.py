"""REINFORCE: make proposals likelier whose reward was above the baseline."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from controllers.base import Proposal
from controllers.learner import PolicyLearner
from search_space import SearchSpace


class Reinforce:
    """Policy gradient with a moving-average baseline, asynchronous.

    A result may come in any order and from an older policy; it is used once, as if it came from the policy as it is
    now. One without a log-probability was not drawn from a policy: the baseline takes it in, the gradient does not.

    Args:
        space: to draw from.
        hidden_width: units of the policy's LSTM.
        learning_rate: of Adam.
        batch_size: results for each step.
        entropy_weight: of the policy's entropy, in nats, against the advantage, in standard deviations.
        baseline_decay: share of the mean reward that is kept when one more comes.
        failure_reward: what a failed evaluation is worth; None to skip it.
        seed: of the policy's first weights.

    Raises:
        ValueError: a value out of range.

    Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning (arXiv 1611.01578), section 3.2.
    """

    min_objectives: ClassVar[int] = 1

    def __init__(
        self,
        space: SearchSpace,
        hidden_width: int = 64,
        learning_rate: float = 0.02,
        batch_size: int = 8,
        entropy_weight: float = 0.03,
        baseline_decay: float = 0.95,
        failure_reward: float | None = None,
        seed: int = 0,
    ) -> None:
        self._learner = PolicyLearner(
            space,
            hidden_width=hidden_width,
            learning_rate=learning_rate,
            batch_size=batch_size,
            entropy_weight=entropy_weight,
            baseline_decay=baseline_decay,
            failure_reward=failure_reward,
            seed=seed,
        )

    def ask(self, rng: np.random.Generator) -> Proposal:
        """Draw from the policy."""
        return self._learner.policy.draw(rng)

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Take in one result; the policy takes a step when a batch is complete."""
        if (batch := self._learner.collect(proposal, reward)) is not None:
            self._learner.improve(batch, lambda log_prob: batch.advantage * log_prob)
