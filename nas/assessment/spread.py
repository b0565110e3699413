"""The spread of rewards: how much architectures differ, against how much the seeds of one architecture do."""

import math
from dataclasses import dataclass

import numpy as np

from nas.assessment.correlation import Floats

_TWO_SIDED_95 = 1.96
"""Standard deviations of a normal distribution that hold 95 % of it."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviations of rewards, in their own unit.

    Attributes:
        between: of the architectures' true means: 0 where the means differ by no more than seeds explain.
        within: of the seeds of one architecture.
    """

    between: float
    within: float

    @property
    def intraclass(self) -> float:
        """Intraclass correlation: the architectures' share in the variance of single trainings; NaN without any."""
        variance = self.between**2 + self.within**2
        return self.between**2 / variance if variance > 0 else math.nan

    @property
    def smallest_difference(self) -> float:
        """Least difference of two single trainings that seeds alone exceed in 5 % of pairs or fewer."""
        return _TWO_SIDED_95 * math.sqrt(2) * self.within


def spread_of(rewards: Floats) -> Spread:
    """Return the spread of (N, S) rewards, of N architectures with S seeds each.

    Source: one-way analysis of variance; Shrout and Fleiss, Intraclass correlations (Psychological Bulletin 86, 1979),
        ICC(1, 1).
    """
    between, within = variances(rewards)
    return Spread(math.sqrt(max(0.0, float(between))), math.sqrt(float(within)))


def variances(rewards: Floats) -> tuple[Floats, Floats]:
    """Return (...) variances of (..., N, S) rewards: between architectures, below 0 by chance, and within them.

    Raises:
        ValueError: fewer than two architectures or seeds, which have no variance.
    """
    num_architectures, num_seeds = rewards.shape[-2:]
    if num_architectures < 2 or num_seeds < 2:
        raise ValueError(f"two architectures and two seeds or more have a spread, got {num_architectures}, {num_seeds}")

    within: Floats = rewards.var(-1, ddof=1).mean(-1)
    # The means of S seeds vary by a part of the noise too.
    between: Floats = rewards.mean(-1).var(-1, ddof=1) - within / num_seeds
    return between, within


def half_of(num_architectures: int) -> int:
    """Return how many architectures the better half has, the middle one included."""
    return math.ceil(num_architectures / 2)


def better_half(rewards: Floats) -> Floats:
    """Return (n, S) rewards of the better half of (N, S) rewards by their mean, best first."""
    order = np.argsort(-rewards.mean(-1), kind="stable")[: half_of(len(rewards))]
    half: Floats = rewards[order]
    return half
