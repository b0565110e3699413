"""The deviation between seeds, pooled over architectures, and which means it allows to tell apart from the best."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from nas.assessment.student import student_95
from nas.record.mean_reward import MeanReward


@dataclass(frozen=True, slots=True)
class SeedDeviation:
    """The standard deviation of trainings of one architecture that differ in their seed alone.

    Attributes:
        value: in the unit of the reward.
        degrees: degrees of freedom that it was estimated with, 1 or more.
    """

    value: float
    degrees: int

    def difference_told_apart(self, num_first: int, num_second: int) -> float:
        """Return by how much means of so many trainings must differ for the 95 % interval of it to leave out 0."""
        return student_95(self.degrees) * self.value * math.sqrt(1 / num_first + 1 / num_second)

    def interval(self, first: MeanReward, second: MeanReward) -> tuple[float, float]:
        """Return the 95 % interval of the first mean less the second, low to high."""
        difference = first.mean - second.mean
        half = self.difference_told_apart(first.num_trainings, second.num_trainings)
        return difference - half, difference + half

    def may_be_as_good(self, one: MeanReward, best: MeanReward) -> bool:
        """Return whether one is not shown to be worse than the best: too near to it to tell, or above it."""
        return best.mean - one.mean <= self.difference_told_apart(one.num_trainings, best.num_trainings)


def pooled_deviation(means: Iterable[MeanReward]) -> SeedDeviation | None:
    """Return the deviation between seeds over several architectures; None where none has two trainings.

    All architectures are taken to vary alike between seeds, so that three trainings of each of a dozen say enough.

    Source: one-way analysis of variance, the mean square within; groups need not be of one size.
    """
    squares, degrees = 0.0, 0
    for one in means:
        if one.deviation is not None:
            squares += (one.num_trainings - 1) * one.deviation**2
            degrees += one.num_trainings - 1
    return SeedDeviation(math.sqrt(squares / degrees), degrees) if degrees else None
