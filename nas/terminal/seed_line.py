"""The sentence on the deviation between seeds: how far means and single trainings must differ to be told apart."""

import statistics
from collections.abc import Sequence

from nas.assessment.standing import SeedsOfRanking
from nas.assessment.told_apart import SeedDeviation
from nas.record.mean_reward import MeanReward
from nas.record.ranking import Row

MARK = "~"
"""Stands behind the rank of what is not shown to be worse than the best."""


def seed_line(deviation: SeedDeviation, means: Sequence[MeanReward], *, is_marked: bool) -> str:
    """Return what the deviation between seeds is, and how far apart two figures of a table must be.

    Args:
        deviation: between seeds.
        means: all figures of the table, one or more; of single trainings too.
        is_marked: whether one of them is marked.
    """
    counts = [one.num_trainings for one in means]
    repeated = [count for count in counts if count > 1]
    usual = statistics.mode(repeated) if repeated else 1

    pairs: list[tuple[str, int, int]] = []
    if repeated:
        pairs.append((f"two means of {usual}", usual, usual))
    if repeated and 1 in counts:
        pairs.append(("a mean and a single training", usual, 1))
    if 1 in counts:
        pairs.append(("two single trainings", 1, 1))
    least = [f"{deviation.difference_told_apart(first, second):.2g}" for _, first, second in pairs]

    text = f"The standard deviation between seeds is {deviation.value:.2g} (degrees of freedom: {deviation.degrees}): "
    text += f"to be told apart, {pairs[0][0]} must differ by {least[0]}"
    for (pair, _, _), difference in zip(pairs[1:], least[1:], strict=True):
        text += f", {pair} by {difference}"
    return f"{text}; {MARK} marks what may be as good as the best." if is_marked else f"{text}."


def ranking_line(seeds: SeedsOfRanking, rows: Sequence[Row], replay_command: str) -> str:
    """Return what is known of seeds in a ranking, or the command that tells; empty where there is nothing to say.

    Args:
        seeds: their part in the ranking.
        rows: the rows that are shown.
        replay_command: replays the best of the run that has the best; empty where seeds do nothing.
    """
    if not rows or not seeds.are_comparable:
        return ""
    if seeds.deviation is None and not replay_command:
        return ""
    if seeds.deviation is None:
        what = "Single trainings are ranked; how far seeds of one architecture differ is not known"
        return f"{what}. This tells: {replay_command}"

    # Of figures that do not compare nothing is said.
    means = [row.ranked_by for row in rows if seeds.compares(row)]
    if not means:
        return ""
    return seed_line(seeds.deviation, means, is_marked=any(row.standing == "may be as good" for row in rows))
