"""PPO: several steps for each batch of results, as long as the policy stays near the one they were drawn from."""

import math
from collections.abc import Collection, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from controllers.base import Proposal
from controllers.learner import Batch, LearnerSettings, PolicyLearner
from foundation import check_range
from search_space import Decisions, SearchSpace

DEFAULT_LEARNER = LearnerSettings(learning_rate=0.01, entropy_weight=0.003)
MAX_RATIO = 3.0
"""Largest ratio at which a bad result still counts; above it, a single one would make up a whole step."""


class PPO:
    """Proximal policy optimisation with a clipped ratio, asynchronous.

    The ratio is that of a whole proposal's probability under the policy as it is now to the one it was drawn with,
    which comes with the proposal. A good result has no more pull once it is likelier by the clip, a bad one once it is
    less likely by the clip; one that has become likelier by more than `MAX_RATIO`, as those of very old policies may
    have, has none. A result without a log-probability was not drawn from a policy: the baseline takes it in, the
    gradient does not.

    Args:
        space: space to draw from.
        learner: how the policy is built and trained.
        num_epochs: steps of Adam in an update, each over the whole batch.
        clip: how far the ratio may leave 1 before a result has no more pull.

    Raises:
        ValueError: a value out of range.

    Source: Schulman et al., Proximal Policy Optimization Algorithms (arXiv 1707.06347), section 3.
    The limit on bad results is that of Ye et al. (arXiv 1912.09729), section 3.
    Differs: no value network; a moving mean of rewards is the baseline, as in Zoph and Le (arXiv 1611.01578).
    """

    min_objectives: ClassVar[int] = 1

    def __init__(
        self, space: SearchSpace, learner: LearnerSettings = DEFAULT_LEARNER, num_epochs: int = 2, clip: float = 0.8
    ) -> None:
        check_range("num_epochs", num_epochs, 1, 1000, "each is a step over the whole batch")
        if not 0 < clip < 1:
            raise ValueError(f"clip must be between 0 and 1, got {clip}")

        self._learner = PolicyLearner(space, learner)
        self._num_epochs = num_epochs
        self._clip = clip

    def ask(self, rng: np.random.Generator, running: Collection[Decisions] = ()) -> Proposal:
        """Draw from the policy."""
        return self._learner.policy.draw(rng)

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Take in one result; the policy is updated when a batch is complete."""
        batch = self._learner.collect(proposal, reward)
        if batch is None:
            return
        for _ in range(self._num_epochs):
            self._learner.improve(batch, lambda log_prob: self._clipped(log_prob, batch))

    def _clipped(self, log_prob: Tensor, batch: Batch) -> Tensor:
        """Return the (B,) clipped objective of (B,) log-probabilities under the policy as it is now."""
        ratio = (log_prob - batch.old_log_prob).clamp(max=math.log(MAX_RATIO)).exp()
        near = ratio.clamp(1 - self._clip, 1 + self._clip)
        return torch.minimum(ratio * batch.advantage, near * batch.advantage)
