"""The moving baseline: the reward to expect, and how far above it a result is."""

import math


class MovingBaseline:
    """Exponential moving mean and spread of rewards; the first ones are averaged plainly.

    Args:
        decay: weight, between 0 and 1, of what was known when one more reward comes; 0.95 looks back about 20 rewards.

    Source: Zoph and Le (arXiv 1611.01578), section 3.2, for the mean. Differs: the spread, so that the entropy bonus
        means the same whether AP is about 0.1 or about 0.6.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._num_rewards = 0
        self._mean = 0.0
        self._variance = 0.0

    def update(self, reward: float) -> None:
        """Take in one more reward."""
        self._num_rewards += 1
        weight = max(1 - self._decay, 1 / self._num_rewards)

        change = reward - self._mean
        self._mean += weight * change
        self._variance = (1 - weight) * (self._variance + weight * change**2)

    def advantage(self, reward: float) -> float:
        """Return how many standard deviations a reward is above the mean; 0 while there is no spread."""
        spread = math.sqrt(self._variance)
        return (reward - self._mean) / spread if spread > 0 else 0.0
