"""95 % intervals by bootstrap over architectures: they are drawn again and again, with repetition, seeds and all."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nas.assessment.correlation import Floats
from nas.assessment.spread import half_of, variances
from nas.assessment.student import student_95

NUM_RESAMPLES = 2000
PERCENTILES = (2.5, 97.5)
_PAIRS_AT_A_TIME = 4_000_000
_ROUNDING = 1e-12
_MIN_FOR_INTERVAL = 5
"""Fewest architectures whose spread has an interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval, low to high; NaN where there is nothing to estimate from."""

    value: float
    low: float
    high: float


def estimate(statistic: Callable[..., Floats], *tables: Floats, num_resamples: int = NUM_RESAMPLES) -> Estimate:
    """Return a statistic of paired tables with its interval, the percentiles of its values over resamples.

    Args:
        statistic: takes the tables, each with any axes before those that it has here.
        tables: (N,) values of the same N architectures each, or (N, S) with their seeds along the last axis.
        num_resamples: how often N architectures are drawn.
    """
    num_rows = tables[0].shape[0]
    rows = _resampled_rows(num_rows, num_resamples)  # (R, N)

    # Few resamples at a time: rank correlations compare every pair of architectures in each of them.
    num_chunks = math.ceil(num_resamples * num_rows**2 / _PAIRS_AT_A_TIME)
    chunks = np.array_split(rows, num_chunks)
    values = np.concatenate([statistic(*(table[chunk] for table in tables)) for chunk in chunks])  # (R,)

    # A resample may hold one architecture alone, which has no order.
    known = values[np.isfinite(values)]
    value = float(statistic(*tables))
    if not known.size or not math.isfinite(value):
        return Estimate(value, math.nan, math.nan)
    low, high = np.percentile(known, PERCENTILES)
    return Estimate(value, float(low), float(high))


def intraclass_estimate(
    rewards: Floats, *, of_better_half: bool = False, num_resamples: int = NUM_RESAMPLES
) -> Estimate:
    """Return the intraclass correlation of (N, S) rewards with its interval.

    The logarithm of the ratio of mean squares is nearly normal, which the correlation is not: the interval is that of
    the logarithm, by the bootstrap's standard error and Student's t, and is then turned into correlations.

    Args:
        rewards: (N, S) rewards of N architectures with S seeds each.
        of_better_half: estimate within the half of the architectures whose means are highest. Each resample chooses a
            half of its own, as which architectures are in it is uncertain too. The estimate is a little low: the half
            is chosen by the same trainings, and their luck is counted as noise that was not there.
        num_resamples: how often N architectures are drawn.
    """
    num_architectures, num_seeds = rewards.shape
    log_ratio = _log_ratio_of_better_half if of_better_half else _log_ratio
    num_counted = half_of(num_architectures) if of_better_half else num_architectures

    found = _log_estimate(log_ratio, rewards, num_counted, num_resamples)
    value, low, high = (_correlation_at(logarithm, num_seeds) for logarithm in (found.value, found.low, found.high))
    return Estimate(value, low, high)


def within_estimate(rewards: Floats, *, num_resamples: int = NUM_RESAMPLES) -> Estimate:
    """Return the standard deviation of the seeds of one architecture, of (N, S) rewards, with its interval.

    The interval is that of the logarithm, as for the intraclass correlation.
    """
    found = _log_estimate(_log_within, rewards, len(rewards), num_resamples)
    value, low, high = (math.exp(logarithm / 2) for logarithm in (found.value, found.low, found.high))
    return Estimate(value, low, high)


def between_estimate(rewards: Floats, *, num_resamples: int = NUM_RESAMPLES) -> Estimate:
    """Return the standard deviation of the architectures' true means, of (N, S) rewards, with its interval.

    The interval is that of the logarithm of the mean square between, less what the seeds explain of it.
    """
    num_seeds = rewards.shape[-1]
    within = float(variances(rewards)[1])
    found = _log_estimate(_log_between, rewards, len(rewards), num_resamples)

    def deviation(logarithm: float) -> float:
        if math.isnan(logarithm):
            return math.nan
        excess = math.exp(logarithm) - within
        # Where both are equal, rounding may leave a little.
        return math.sqrt(excess / num_seeds) if excess > _ROUNDING * within else 0.0

    return Estimate(deviation(found.value), deviation(found.low), deviation(found.high))


def _log_estimate(
    logarithm: Callable[[Floats], Floats], rewards: Floats, num_counted: int, num_resamples: int
) -> Estimate:
    """Return a logarithm of (N, S) rewards with the interval of a normal distribution, by the bootstrap's deviation.

    Args:
        logarithm: of (..., N, S) rewards; minus infinity or NaN where there are no differences.
        rewards: the rewards.
        num_counted: number of architectures that it depends on.
        num_resamples: how often N architectures are drawn.
    """
    value = float(logarithm(rewards))
    resampled = logarithm(rewards[_resampled_rows(len(rewards), num_resamples)])  # (R,)

    # A resample of few architectures may lack any difference between seeds, or between architectures.
    known = resampled[np.isfinite(resampled)]
    if not math.isfinite(value) or known.size < num_resamples // 2 or num_counted < _MIN_FOR_INTERVAL:
        return Estimate(value, math.nan, math.nan)
    error = float(known.std(ddof=1)) * student_95(num_counted - 1)
    return Estimate(value, value - error, value + error)


def _log_between(rewards: Floats) -> Floats:
    """Return (...) logarithms of the mean square between architectures, of (..., N, S) rewards."""
    with np.errstate(divide="ignore"):
        logarithm: Floats = np.log(rewards.mean(-1).var(-1, ddof=1) * rewards.shape[-1])
    return logarithm


def _log_within(rewards: Floats) -> Floats:
    """Return (...) logarithms of the mean square within architectures, of (..., N, S) rewards."""
    with np.errstate(divide="ignore"):
        logarithm: Floats = np.log(rewards.var(-1, ddof=1).mean(-1))
    return logarithm


def _log_ratio(rewards: Floats) -> Floats:
    """Return (...) logarithms of the mean square between over that within, of (..., N, S) rewards."""
    with np.errstate(invalid="ignore"):
        ratio: Floats = _log_between(rewards) - _log_within(rewards)
    return ratio


def _log_ratio_of_better_half(rewards: Floats) -> Floats:
    order = np.argsort(-rewards.mean(-1), axis=-1, kind="stable")[..., : half_of(rewards.shape[-2])]  # (..., n)
    return _log_ratio(np.take_along_axis(rewards, order[..., None], axis=-2))


def _correlation_at(log_ratio: float, num_seeds: int) -> float:
    """Return the intraclass correlation that belongs to a ratio of mean squares, at least 0; NaN for no ratio."""
    if math.isnan(log_ratio):
        return math.nan
    if math.isinf(log_ratio):
        return 1.0 if log_ratio > 0 else 0.0
    ratio = math.exp(log_ratio)
    return max(0.0, (ratio - 1) / (ratio + num_seeds - 1))


def _resampled_rows(num_rows: int, num_resamples: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    # The same draws for every figure: those that are compared are then compared on equal resamples.
    return np.random.default_rng(0).integers(num_rows, size=(num_resamples, num_rows))
