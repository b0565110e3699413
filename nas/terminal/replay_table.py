"""The table of a replay: the best of a search, ranked by their means over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from nas.assessment.told_apart import SeedDeviation
from nas.record.mean_reward import MeanReward
from nas.record.trial import Trial
from nas.terminal.figures import Figure, shown_figures
from nas.terminal.seed_line import MARK
from search_space.spec import short_key


@dataclass(frozen=True, slots=True)
class ReplayedTrial:
    """One of the best trials of a search, with the outcome of its replay.

    Attributes:
        trial: of the search.
        mean: of its trainings in the replay; None while none has a reward.
        failure: what the last of them failed with; empty where none did.
    """

    trial: Trial
    mean: MeanReward | None
    failure: str = ""


def replay_table(replayed: Sequence[ReplayedTrial], deviation: SeedDeviation | None) -> Table:
    """Return the trials ranked by their means, each with its rank in the search; those without a mean come last.

    Args:
        replayed: the best trials of the search, the best first.
        deviation: between seeds; None where it is not known.
    """
    in_search = {one.trial.key: rank for rank, one in enumerate(replayed, start=1)}
    in_order = sorted(replayed, key=lambda one: -math.inf if one.mean is None else one.mean.mean, reverse=True)
    has_seeds = any(one.mean is not None and one.mean.num_trainings > 1 for one in replayed)
    figures = shown_figures({name for one in replayed for name in one.trial.metrics}, "replay")
    heads = ["mean\nnow", "\n±", "\nn"] if has_seeds else ["reward\nnow"]
    table = Table(title="Replay", title_justify="left", box=None, header_style="bold", pad_edge=False)
    for head in ("\nrank", "in\nsearch", "\ntrial", "reward in\nsearch", *heads, *(f"\n{own.head}" for own in figures)):
        table.add_column(head, justify="right")
    table.add_column("\nkey")

    for rank, one in enumerate(in_order, start=1):
        texts = _mean_texts(one)
        table.add_row(
            _rank_text(rank, one.mean, in_order[0].mean, deviation),
            str(in_search[one.trial.key]),
            str(one.trial.number),
            f"{one.trial.reward:.4f}",
            *(texts if has_seeds else texts[:1]),
            *(_figure_text(figure, one.trial) for figure in figures),
            short_key(one.trial.key),
        )
    return table


def _rank_text(rank: int, mean: MeanReward | None, best: MeanReward | None, deviation: SeedDeviation | None) -> str:
    """Return a rank, marked where it may be as good as the best; empty where there is no mean to rank by."""
    if mean is None or best is None:
        return ""
    is_marked = rank > 1 and deviation is not None and deviation.may_be_as_good(mean, best)
    return f"{rank}{MARK if is_marked else ''}"


def _mean_texts(replayed: ReplayedTrial) -> tuple[str, str, str]:
    """Return mean, deviation and number of trainings; in place of the mean what they failed with where all did."""
    mean = replayed.mean
    if mean is None:
        return replayed.failure, "", ""
    return f"{mean.mean:.4f}", "" if mean.deviation is None else f"{mean.deviation:.4f}", str(mean.num_trainings)


def _figure_text(figure: Figure, trial: Trial) -> str:
    return figure.text(trial.metrics[figure.name]) if figure.name in trial.metrics else ""
