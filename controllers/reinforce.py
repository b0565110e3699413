"""REINFORCE: make proposals likelier whose reward was above the baseline."""

from collections.abc import Collection, Sequence
from typing import ClassVar

import numpy as np

from controllers.base import Proposal
from controllers.learner import LearnerSettings, PolicyLearner
from search_space import Decisions, SearchSpace

DEFAULT_LEARNER = LearnerSettings(learning_rate=0.02, entropy_weight=0.03)


class Reinforce:
    """Policy gradient with a moving-average baseline, asynchronous.

    A result may come in any order and from an older policy; it is used once, as if it came from the policy as it is
    now. One without a log-probability was not drawn from a policy: the baseline takes it in, the gradient does not.

    Args:
        space: space to draw from.
        learner: how the policy is built and trained; each batch of results is one step.

    Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning (arXiv 1611.01578), section 3.2.
    """

    min_objectives: ClassVar[int] = 1

    def __init__(self, space: SearchSpace, learner: LearnerSettings = DEFAULT_LEARNER) -> None:
        self._learner = PolicyLearner(space, learner)

    def ask(self, rng: np.random.Generator, running: Collection[Decisions] = ()) -> Proposal:
        """Draw from the policy."""
        return self._learner.policy.draw(rng)

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Take in one result; the policy takes a step when a batch is complete."""
        batch = self._learner.collect(proposal, reward)
        if batch is not None:
            self._learner.improve(batch, lambda log_prob: batch.advantage * log_prob)
