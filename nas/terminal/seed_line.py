"""The sentence on the deviation between seeds: how far means and single trainings must differ to be told apart."""

import statistics
from collections.abc import Sequence

from nas.assessment.told_apart import SeedDeviation
from nas.record.mean_reward import MeanReward

MARK = "~"
"""Stands behind the rank of what is not shown to be worse than the best."""


def seed_line(deviation: SeedDeviation, means: Sequence[MeanReward], *, is_marked: bool) -> str:
    """Return what the deviation between seeds is, and how far apart two figures of a table must be.

    Args:
        deviation: between seeds.
        means: all figures of the table, one or more; of single trainings too.
        is_marked: whether one of them is marked.
    """
    differences = []
    repeated = [one.num_trainings for one in means if one.num_trainings > 1]
    if repeated:
        num_trainings = statistics.mode(repeated)
        least = deviation.difference_told_apart(num_trainings, num_trainings)
        differences.append(f"two means of {num_trainings} must differ by {least:.2g}")
    if len(repeated) < len(means):
        least = deviation.difference_told_apart(1, 1)
        differences.append(f"two single trainings {'' if repeated else 'must differ '}by {least:.2g}")

    text = f"The standard deviation between seeds is {deviation.value:.2g} (degrees of freedom: {deviation.degrees}): "
    text += f"{', '.join(differences)} to be told apart"
    return f"{text}; {MARK} marks what may be as good as the best." if is_marked else f"{text}."
