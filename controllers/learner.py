"""What REINFORCE and PPO share: the policy, its optimiser, the baseline, and the results of the next step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from controllers.base import Proposal
from controllers.baseline import MovingBaseline
from controllers.policy import RecurrentPolicy, one_thread
from search_space import Decisions, SearchSpace

MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True, slots=True)
class Batch:
    """B results to learn from.

    Attributes:
        decisions: (B, D) chosen options.
        is_legal: (B, D, N) options that were legal.
        old_log_prob: (B,) logarithm of the probability that each was drawn with.
        advantage: (B,) how far its reward was above the baseline, in standard deviations.
    """

    decisions: Tensor
    is_legal: Tensor
    old_log_prob: Tensor
    advantage: Tensor


class PolicyLearner:
    """Collects results in whatever order they come, and improves a policy with them.

    Args:
        space: what the policy decides about.
        hidden_width: units of the policy's LSTM.
        learning_rate: of Adam.
        batch_size: results in a batch.
        entropy_weight: of the policy's entropy, in nats, against the advantage, in standard deviations.
        baseline_decay: see `MovingBaseline`.
        failure_reward: what a failed evaluation is worth; None to skip it.
        seed: of the policy's first weights.

    Raises:
        ValueError: a value out of range.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        hidden_width: int,
        learning_rate: float,
        batch_size: int,
        entropy_weight: float,
        baseline_decay: float,
        failure_reward: float | None,
        seed: int,
    ) -> None:
        if not 0 < learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, got {learning_rate}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
        if not 0 <= entropy_weight < math.inf:
            raise ValueError(f"entropy_weight must be 0 or more, got {entropy_weight}")
        self.policy = RecurrentPolicy(space, hidden_width, seed)
        self._optimizer = torch.optim.Adam(self.policy.parameters(), learning_rate)
        self._baseline = MovingBaseline(baseline_decay)
        self._batch_size = batch_size
        self._entropy_weight = entropy_weight
        self._failure_reward = failure_reward
        self._waiting: list[tuple[Decisions, float, float]] = []

    def collect(self, proposal: Proposal, reward: float | None) -> Batch | None:
        """Take in one result; return a batch when enough have come.

        A result without a log-probability, or with one that is not finite, was not drawn from a policy: the baseline
        takes it in, no batch does.
        """
        reward = self._failure_reward if reward is None else reward
        if reward is None:
            return None
        self._baseline.update(reward)
        if proposal.log_prob is None or not math.isfinite(proposal.log_prob):
            return None
        self._waiting.append((proposal.decisions, proposal.log_prob, reward))
        if len(self._waiting) < self._batch_size:
            return None
        decisions, log_probs, rewards = zip(*self._waiting, strict=True)
        self._waiting.clear()
        return Batch(
            decisions=torch.tensor(decisions),
            is_legal=self.policy.legal_options(decisions),
            old_log_prob=torch.tensor(log_probs),
            advantage=torch.tensor([self._baseline.advantage(reward) for reward in rewards]),
        )

    def improve(self, batch: Batch, objective: Callable[[Tensor], Tensor]) -> None:
        """Take one step up the mean of an objective and of the entropy.

        Args:
            batch: results to learn from.
            objective: maps (B,) log-probabilities under the policy as it is now to (B,) values.
        """
        with one_thread():
            likelihood = self.policy(batch.decisions, batch.is_legal)
            value = objective(likelihood.log_prob).mean() + self._entropy_weight * likelihood.entropy.mean()
            self._optimizer.zero_grad()
            (-value).backward()
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), MAX_GRADIENT_NORM)
            self._optimizer.step()
