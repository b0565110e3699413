"""The verdict on a proxy in a sentence, by fixed rules."""

import math

from nas.assessment.figures import ProxyFigures
from nas.assessment.interval import Estimate

ENOUGH_TO_CHOOSE = 0.8
"""Reliability from which a mean of trainings is taken to name the better of two good architectures."""
MAX_SEEDS = 10
"""Most seeds that are recommended: where more are needed, other means are better."""


def verdict_of(figures: ProxyFigures) -> str:
    """Return what a proxy is good for: nothing, a search, or a search and the choice of its winner.

    It does not rank where all rewards are equal, where the interval of the intraclass correlation includes 0, or where
    that of the rank correlation with the target does. Where there is no interval, nothing is said. Otherwise it is
    enough to search; and to choose the winner too, where a single training is reliable among the better half.
    """
    unable = _why_it_does_not_rank(figures)
    if unable:
        return f"does not rank: {unable}"
    if _is_unknown(figures):
        return "unknown: too few architectures for an interval; train more of them"

    told_apart = (
        f"two architectures must differ by {figures.smallest_difference:.2g} to be told apart with one training each"
    )
    num_seeds = seeds_needed(figures.intraclass_of_better_half)
    if num_seeds == 1:
        return f"{told_apart}; enough to search and to choose the winner"
    if num_seeds is None:
        return (
            f"{told_apart}; enough to search, not to choose the winner: among the better half more than {MAX_SEEDS} "
            "seeds would be needed, so replay the best with more training"
        )
    return (
        f"{told_apart}; enough to search, not to choose the winner: replay the best {max(2, figures.num_close)} with "
        f"{num_seeds} seeds"
    )


def seeds_needed(of_better_half: Estimate) -> int | None:
    """Return how many seeds make a mean reliable among the better half; None where it is more than `MAX_SEEDS`.

    Source: Spearman-Brown: the mean of S has the reliability S r / (1 + (S - 1) r), where r is that of one.
    """
    single = of_better_half.value
    if math.isnan(single):
        return None
    for num_seeds in range(1, MAX_SEEDS + 1):
        if num_seeds * single / (1 + (num_seeds - 1) * single) >= ENOUGH_TO_CHOOSE:
            return num_seeds
    return None


def _why_it_does_not_rank(figures: ProxyFigures) -> str:
    if figures.between.value == 0:
        return "its architectures differ by no more than their seeds"
    if figures.intraclass.low == 0:
        return "the interval of its intraclass correlation includes 0, which more seeds or architectures make narrower"
    if figures.target is not None and math.isnan(figures.target.overall.spearman.value):
        return "the rewards of a seed, or of the target, are all equal"
    if figures.target is not None and figures.target.overall.spearman.low <= 0:
        return "the interval of its rank correlation with the target includes 0, which more architectures make narrower"
    return ""


def _is_unknown(figures: ProxyFigures) -> bool:
    """Return whether there is no interval, though seeds differ."""
    return math.isnan(figures.intraclass.low) and figures.within.value > 0
