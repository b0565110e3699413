"""Curves of the best reward after each result: of one run, and the mean over repetitions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.record.comparison import BestSoFar
from nas.record.record import Record
from nas.reporting.bootstrap import mean_interval
from nas.reporting.runs import ReportedRun

Floats: TypeAlias = NDArray[np.float64]

NUM_POINTS = 400
"""Most points of a drawn curve."""


@dataclass(frozen=True, slots=True)
class MeanCurve:
    """Mean of the best reward so far over the runs of a group, P points.

    Attributes:
        runs: positions of its runs among those reported.
        results: (P,) numbers of results after which the points stand.
        mean: (P,) mean over the runs.
        low, high: (P,) 95 % interval of the mean, by bootstrap over the runs; empty for a single run.
    """

    runs: tuple[int, ...]
    results: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def best_so_far(record: Record) -> Floats:
    """Return (N,) best rewards after each of N results of the first rung; NaN before the first reward.

    Rewards of more training do not compare with them, and controllers do not hear of them.
    """
    best = BestSoFar()
    first_rung = (record.trials[number] for number in record.told if record.trials[number].rung == 0)
    return np.array([np.nan if best.take(trial) is None else best.reward for trial in first_rung], dtype=np.float64)


def mean_curves(runs: Sequence[ReportedRun]) -> Mapping[str, MeanCurve]:
    """Return the curve of each group, as far as its shortest run goes and from where all its runs have a reward."""
    members: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        members.setdefault(run.group, []).append(i)

    return {group: _mean_curve(runs, indices) for group, indices in members.items()}


def _mean_curve(runs: Sequence[ReportedRun], members: Sequence[int]) -> MeanCurve:
    curves = [best_so_far(runs[i].record) for i in members]
    length = min(len(curve) for curve in curves)
    stacked = np.stack([curve[:length] for curve in curves])  # (R, N)

    # From where all runs have a reward.
    usable = np.flatnonzero(np.isfinite(stacked).all(axis=0))
    if not usable.size:
        return MeanCurve(tuple(members), (), (), (), ())
    # Short curves have fewer points than can be drawn.
    drawn = np.unique(np.linspace(usable[0], length - 1, NUM_POINTS).astype(int))
    points = stacked[:, drawn]  # (R, P)

    low, high = mean_interval(points) if len(members) > 1 else (np.empty(0), np.empty(0))
    return MeanCurve(
        runs=tuple(members),
        results=tuple((drawn + 1).tolist()),
        mean=_rounded(points.mean(axis=0)),
        low=_rounded(low),
        high=_rounded(high),
    )


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(values, 6).tolist())
