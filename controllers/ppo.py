"""PPO: several steps for each batch of results, as long as the policy stays near the one they were drawn from."""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from controllers.base import Proposal
from controllers.learner import PolicyLearner
from search_space import SearchSpace

MAX_RATIO = 3.0
"""A bad result that became likelier all the same, by more than this, would make up a whole step alone."""


class PPO:
    """Proximal policy optimisation with a clipped ratio, asynchronous.

    The ratio is that of a whole proposal's probability under the policy as it is now to the one it was drawn with,
    which comes with the proposal. A good result has no more pull once it is likelier by the clip, a bad one once it is
    less likely by the clip; one that has become likelier by more than `MAX_RATIO`, as those of very old policies may
    have, has none. A result without a log-probability was not drawn from a policy: the baseline takes it in, the
    gradient does not.

    Args:
        space: to draw from.
        hidden_width: units of the policy's LSTM.
        learning_rate: of Adam.
        batch_size: results for each update.
        num_epochs: steps of Adam in an update, each over the whole batch.
        clip: how far the ratio may leave 1 before a result has no more pull.
        entropy_weight: of the policy's entropy, in nats, against the advantage, in standard deviations.
        baseline_decay: share of the mean reward that is kept when one more comes.
        failure_reward: what a failed evaluation is worth; None to skip it.
        seed: of the policy's first weights.

    Raises:
        ValueError: a value out of range.

    Source: Schulman et al., Proximal Policy Optimization Algorithms (arXiv 1707.06347), section 3.
    The limit on bad results is that of Ye et al. (arXiv 1912.09729), section 3.
    Differs: no value network; a moving mean of rewards is the baseline, as in Zoph and Le (arXiv 1611.01578).
    """

    min_objectives: ClassVar[int] = 1

    def __init__(
        self,
        space: SearchSpace,
        hidden_width: int = 64,
        learning_rate: float = 0.01,
        batch_size: int = 8,
        num_epochs: int = 2,
        clip: float = 0.8,
        entropy_weight: float = 0.003,
        baseline_decay: float = 0.95,
        failure_reward: float | None = None,
        seed: int = 0,
    ) -> None:
        if num_epochs < 1:
            raise ValueError(f"num_epochs must be 1 or more, got {num_epochs}")
        if not 0 < clip < 1:
            raise ValueError(f"clip must be between 0 and 1, got {clip}")
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
        self._num_epochs = num_epochs
        self._clip = clip

    def ask(self, rng: np.random.Generator) -> Proposal:
        """Draw from the policy."""
        return self._learner.policy.draw(rng)

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Take in one result; the policy is updated when a batch is complete."""
        if (batch := self._learner.collect(proposal, reward)) is None:
            return

        def clipped(log_prob: Tensor) -> Tensor:
            ratio = (log_prob - batch.old_log_prob).clamp(max=math.log(MAX_RATIO)).exp()
            near = ratio.clamp(1 - self._clip, 1 + self._clip)
            return torch.minimum(ratio * batch.advantage, near * batch.advantage)

        for _ in range(self._num_epochs):
            self._learner.improve(batch, clipped)
