"""The policy learner of REINFORCE and PPO: its settings, the policy, its optimiser, the baseline, and batches."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from controllers.base import Proposal
from controllers.baseline import MovingBaseline
from controllers.one_thread import one_thread
from controllers.policy import RecurrentPolicy
from foundation import check_range
from search_space import Decisions, SearchSpace

MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True, slots=True)
class LearnerSettings:
    """Everything about a policy and its training that does not depend on the algorithm.

    Attributes:
        learning_rate: learning rate of Adam.
        entropy_weight: weight of the policy's entropy, in nats, against the advantage, in standard deviations.
        hidden_width: units of the policy's LSTM.
        batch_size: results for each update.
        baseline_decay: share of the mean reward that is kept when one more comes.
        failure_reward: what a failed evaluation is worth; None to skip it.
        seed: seed of the policy's first weights.

    Raises:
        ValueError: a value out of range.
    """

    learning_rate: float
    entropy_weight: float
    hidden_width: int = 64
    batch_size: int = 8
    baseline_decay: float = 0.95
    failure_reward: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, low, high, reason in (
            ("learning_rate", self.learning_rate, 1e-12, 100, "Adam moves every weight by about as much"),
            ("entropy_weight", self.entropy_weight, 0, 1e6, "advantages are a few standard deviations"),
            ("hidden_width", self.hidden_width, 1, 4096, "the LSTM then takes half a GB"),
            ("batch_size", self.batch_size, 1, 65_536, "a batch is held in memory"),
        ):
            check_range(name, value, low, high, reason)
        if self.failure_reward is not None:
            check_range("failure_reward", self.failure_reward, -1e6, 1e6, "AP is at most 1")
        if not 0 < self.baseline_decay < 1:
            raise ValueError(f"baseline_decay must be between 0 and 1, got {self.baseline_decay}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be 0 to {2**32 - 1}, got {self.seed}")


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
        settings: how the policy is built and trained.
    """

    def __init__(self, space: SearchSpace, settings: LearnerSettings) -> None:
        self._settings = settings
        self.policy = RecurrentPolicy(space, settings.hidden_width, settings.seed)
        self._optimizer = torch.optim.Adam(self.policy.parameters(), settings.learning_rate)
        self._baseline = MovingBaseline(settings.baseline_decay)
        self._waiting: list[tuple[Decisions, float, float]] = []

    def collect(self, proposal: Proposal, reward: float | None) -> Batch | None:
        """Take in one result; return a batch when enough have come.

        A result without a log-probability, or with one that is not finite, was not drawn from a policy: the baseline
        takes it in, no batch does.
        """
        if reward is None:
            reward = self._settings.failure_reward
        if reward is None:
            return None
        self._baseline.update(reward)

        if proposal.log_prob is None or not math.isfinite(proposal.log_prob):
            return None
        self._waiting.append((proposal.decisions, proposal.log_prob, reward))
        if len(self._waiting) < self._settings.batch_size:
            return None

        decisions, log_probs, rewards = zip(*self._waiting, strict=True)
        self._waiting.clear()
        # All advantages are taken against the baseline of now, which has seen the whole batch.
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
            bonus = self._settings.entropy_weight * likelihood.entropy.mean()
            value = objective(likelihood.log_prob).mean() + bonus

            self._optimizer.zero_grad()
            (-value).backward()
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), MAX_GRADIENT_NORM)
            self._optimizer.step()
