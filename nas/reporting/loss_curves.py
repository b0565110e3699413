"""How the loss fell in the trainings of a report, for as many trials as can be told apart in a plot."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.record.trial import Trial, place
from nas.reporting.runs import ReportedRun

NUM_BEST = 100
"""Of them, none is left out."""
NUM_DRAWN = 300
"""At a time, at most: more take long to draw, and hide one another."""
_NUM_DIGITS = 5


@dataclass(frozen=True, slots=True)
class LossCurves:
    """Training losses of C trials, the best first.

    Attributes:
        row: (C,) position of the trial in the columns of all trials.
        loss: (C,) mean loss in equally long parts of its training, in order; figures have five digits.
        num_found: trials with a curve and a reward, those included that are left out.
    """

    row: tuple[int, ...]
    loss: tuple[tuple[float, ...], ...]
    num_found: int


def loss_curves(runs: Sequence[ReportedRun]) -> LossCurves:
    """Return the curves of each rung's best trials over all runs, and of others evenly spaced over the ranking."""
    trials = [trial for run in runs for trial in run.record.trials.values()]
    found = [row for row, trial in enumerate(trials) if trial.loss_curve and trial.reward is not None]
    ranked = sorted(found, key=lambda row: place(trials[row])[:2])
    rungs = dict.fromkeys(trials[row].rung for row in ranked)
    rows = [row for rung in rungs for row in _drawn([row for row in ranked if trials[row].rung == rung])]
    return LossCurves(tuple(rows), tuple(_losses(trials[row]) for row in rows), len(found))


def _drawn(ranked: Sequence[int]) -> Sequence[int]:
    if len(ranked) <= NUM_DRAWN:
        return ranked
    others = np.linspace(NUM_BEST, len(ranked) - 1, NUM_DRAWN - NUM_BEST).astype(int)
    return [*ranked[:NUM_BEST], *(ranked[at] for at in others)]


def _losses(trial: Trial) -> tuple[float, ...]:
    return tuple(float(f"{loss:.{_NUM_DIGITS}g}") for loss in trial.loss_curve)
