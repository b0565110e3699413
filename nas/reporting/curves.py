"""How good the best architecture was after each result: of one run, and on average over repetitions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.record.comparison import BestSoFar
from nas.record.journal import Record
from nas.reporting.runs import ReportedRun

Floats: TypeAlias = NDArray[np.float64]

NUM_POINTS = 400
"""Of a drawn curve at most."""
NUM_RESAMPLES = 2000
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class MeanCurve:
    """Mean of the best reward so far over the runs of a group, P points.

    Attributes:
        runs: positions of its runs among those reported.
        results: (P,) after so many results.
        mean: (P,) over the runs.
        low, high: (P,) 95 % interval of the mean, by bootstrap over the runs; empty for a single run.
    """

    runs: tuple[int, ...]
    results: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def best_so_far(record: Record) -> Floats:
    """Return (N,) the best reward after each of N results of the first rung; NaN before the first reward.

    Rewards of more training do not compare with them, and controllers do not hear of them.
    """
    best = BestSoFar()
    first_rung = (record.trials[number] for number in record.told if record.trials[number].rung == 0)
    return np.array([np.nan if best.take(trial) is None else best.reward for trial in first_rung], dtype=np.float64)


def mean_curves(runs: Sequence[ReportedRun]) -> Mapping[str, MeanCurve]:
    """Return the curve of each group, as far as its shortest run goes and from where all its runs have a reward."""
    groups = dict.fromkeys(run.group for run in runs)
    return {group: _mean_curve(runs, [i for i, run in enumerate(runs) if run.group == group]) for group in groups}


def _mean_curve(runs: Sequence[ReportedRun], members: Sequence[int]) -> MeanCurve:
    curves = [best_so_far(runs[i].record) for i in members]
    length = min(len(curve) for curve in curves)
    stacked = np.stack([curve[:length] for curve in curves])
    usable = np.flatnonzero(np.isfinite(stacked).all(axis=0))
    if not usable.size:
        return MeanCurve(tuple(members), (), (), (), ())
    at = np.unique(np.linspace(usable[0], length - 1, NUM_POINTS).astype(int))
    mean = stacked[:, at].mean(axis=0)
    low, high = _interval(stacked[:, at]) if len(members) > 1 else (np.empty(0), np.empty(0))
    return MeanCurve(tuple(members), tuple((at + 1).tolist()), _rounded(mean), _rounded(low), _rounded(high))


def _interval(curves: Floats) -> tuple[Floats, Floats]:
    """Return the interval of the mean of (R, P) curves, the R runs drawn again with repetition."""
    num_runs = len(curves)
    weights = np.random.default_rng(0).multinomial(num_runs, np.full(num_runs, 1 / num_runs), size=NUM_RESAMPLES)
    low, high = np.percentile(weights @ curves / num_runs, PERCENTILES, axis=0)
    return low, high


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(values, 6).tolist())
