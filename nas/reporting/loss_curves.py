"""Training losses over time, for as many trials of a report as can be told apart in a plot."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.record.trial import Trial, ranking_key
from nas.reporting.runs import ReportedRun

NUM_BEST = 100
"""Best trials that are always drawn."""
NUM_DRAWN = 300
"""Most curves that are drawn at a time: more take long, and hide one another."""
_NUM_DIGITS = 5


@dataclass(frozen=True, slots=True)
class LossCurves:
    """Training losses of C trials, the best first.

    Attributes:
        index: (C,) index of the trial in the columns of all trials.
        loss: (C,) mean loss in equally long parts of its training, in order; figures have five digits.
        done: (C,) share of its training that was done: below 1 where it was stopped.
        num_found: trials with a curve and a reward, and those that were stopped, with those that are left out.
    """

    index: tuple[int, ...]
    loss: tuple[tuple[float, ...], ...]
    done: tuple[float, ...]
    num_found: int


def loss_curves(runs: Sequence[ReportedRun]) -> LossCurves:
    """Return the curves of each rung's best trials over all runs, and of others evenly spaced over the ranking.

    Behind them come those that were stopped, of which no ranking is known.
    """
    trials = [trial for run in runs for trial in run.record.trials.values()]
    found = [index for index, trial in enumerate(trials) if trial.loss_curve and trial.reward is not None]
    ranked = sorted(found, key=lambda index: ranking_key(trials[index])[:2])

    drawn: list[int] = []
    for rung in dict.fromkeys(trials[index].rung for index in ranked):
        drawn += _drawn([index for index in ranked if trials[index].rung == rung])

    stopped = [index for index, trial in enumerate(trials) if trial.loss_curve and trial.status == "stopped"]
    drawn += _drawn(stopped)
    return LossCurves(
        index=tuple(drawn),
        loss=tuple(_losses(trials[index]) for index in drawn),
        done=tuple(trials[index].share_done for index in drawn),
        num_found=len(found) + len(stopped),
    )


def _drawn(ranked: Sequence[int]) -> Sequence[int]:
    """Return those of a ranking that are drawn: the best, and others evenly spaced over the rest."""
    if len(ranked) <= NUM_DRAWN:
        return ranked
    others = np.linspace(NUM_BEST, len(ranked) - 1, NUM_DRAWN - NUM_BEST).astype(int)
    return [*ranked[:NUM_BEST], *(ranked[rank] for rank in others)]


def _losses(trial: Trial) -> tuple[float, ...]:
    return tuple(float(f"{loss:.{_NUM_DIGITS}g}") for loss in trial.loss_curve)
