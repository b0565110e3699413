"""Figures of a proxy: how far its rewards tell architectures apart, and how well they rank them as the target does."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from nas.assessment.correlation import Floats, kendall_tau_b, spearman, top_regret
from nas.assessment.early_drop import EarlyDrop, early_drop
from nas.assessment.interval import Estimate, between_estimate, estimate, intraclass_estimate, within_estimate
from nas.assessment.spread import half_of, spread_of, variances
from nas.assessment.trained import TrainedProxy

SETTLED_WITHIN = 0.05
"""A ranking has settled where its correlation stays this near to what it is at the end of the training."""
NUM_RESAMPLES_OF_CURVES = 500
"""Resamples for each point of a curve, of which there are many."""

Agreement: TypeAlias = Callable[[Floats, Floats], Floats]
"""A figure of (..., N) rewards of a proxy and (..., N) of its target."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Agreement of one training with the target's mean over seeds, averaged over the proxy's seeds.

    Attributes:
        spearman: Spearman's correlation.
        kendall: Kendall's tau-b.
        regret: the target's best less its best among the `top` that the proxy ranks highest.
    """

    spearman: Estimate
    kendall: Estimate
    regret: Estimate


@dataclass(frozen=True, slots=True)
class AgainstTarget:
    """Figures of a proxy that need a target.

    Attributes:
        overall: agreement over all architectures.
        better_half: agreement within the target's better half.
        corrected: Spearman's correlation without the noise of either: of the true means.
        per_second: Spearman's correlation over all, for each second that a trial takes; NaN where times are not known.
        early_drop: what dropping the proxy's worst quarter would save and cost.
    """

    overall: Ranking
    better_half: Ranking
    corrected: Estimate
    per_second: Estimate
    early_drop: EarlyDrop


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Figures of the training loss at one part of the training, the lower loss taken for the better.

    Attributes:
        share: how much of the training has passed.
        intraclass: intraclass correlation of the losses.
        spearman: Spearman's correlation of one training's losses with the target's mean rewards; with the proxy's own
            where there is no target.
    """

    share: float
    intraclass: Estimate
    spearman: Estimate


@dataclass(frozen=True, slots=True)
class ProxyFigures:
    """All figures of a proxy.

    Attributes:
        name: what the proxy is called.
        seconds: mean duration of a trial; NaN where it is not on record.
        between: standard deviation of the architectures' true means.
        within: standard deviation of the seeds of one architecture.
        smallest_difference: least difference of two single trainings that tells them apart.
        intraclass: the architectures' share in the variance of single trainings.
        intraclass_of_better_half: the same within the half with the highest means.
        num_close: architectures within `smallest_difference` of the highest mean, that one included.
        target: agreement with the target; None where there is none.
        curve: figures along the loss curve; empty where there is none.
        settles_at: share of the training from which the ranking by loss stays as it is; None without a curve.
    """

    name: str
    seconds: Estimate
    between: Estimate
    within: Estimate
    smallest_difference: float
    intraclass: Estimate
    intraclass_of_better_half: Estimate
    num_close: int
    target: AgainstTarget | None
    curve: tuple[CurvePoint, ...]
    settles_at: float | None


def figures_of(proxy: TrainedProxy, target: TrainedProxy | None, top: int) -> ProxyFigures:
    """Return all figures of a proxy, over the architectures that it shares with its target.

    Args:
        proxy: its trainings.
        target: trainings of the same architectures; None for none.
        top: number of architectures that the regret looks at.
    """
    spread = spread_of(proxy.rewards)
    means = proxy.rewards.mean(-1)
    curve = _curve(proxy, proxy if target is None else target)

    return ProxyFigures(
        name=proxy.name,
        seconds=_mean_estimate(proxy.seconds),
        between=between_estimate(proxy.rewards),
        within=within_estimate(proxy.rewards),
        smallest_difference=spread.smallest_difference,
        intraclass=intraclass_estimate(proxy.rewards),
        intraclass_of_better_half=_of_better_half(proxy.rewards),
        num_close=int((means >= means.max() - spread.smallest_difference).sum()),
        target=None if target is None else _against(proxy, target, top),
        curve=curve,
        settles_at=_settles_at(curve),
    )


def rank_by_one_training(agreement: Agreement) -> Agreement:
    """Return the agreement of (..., N, S) rewards of a proxy with (..., N, S) of a target.

    A search trains once and ranks by that, so each seed of the proxy is compared with the target's mean, which is as
    near to the truth as there is; the figure is the mean over the proxy's seeds.
    """

    def of_tables(proxy: Floats, target: Floats) -> Floats:
        means = target.mean(-1)
        by_seed = [agreement(proxy[..., seed], means) for seed in range(proxy.shape[-1])]
        figure: Floats = np.mean(by_seed, axis=0)
        return figure

    return of_tables


def _ranking(proxy: Floats, target: Floats, top: int, within: Callable[[Agreement], Agreement]) -> Ranking:
    def regret(first: Floats, second: Floats) -> Floats:
        return top_regret(first, second, min(top, first.shape[-1]))

    spearmans, kendalls, regrets = (
        estimate(rank_by_one_training(within(agreement)), proxy, target)
        for agreement in (spearman, kendall_tau_b, regret)
    )
    return Ranking(spearmans, kendalls, regrets)


def _everywhere(agreement: Agreement) -> Agreement:
    return agreement


def _in_better_half(agreement: Agreement) -> Agreement:
    """Return the agreement within the half that is best in the target; each resample chooses a half of its own."""

    def of_half(proxy: Floats, target: Floats) -> Floats:
        order = np.argsort(-target, axis=-1, kind="stable")[..., : half_of(target.shape[-1])]
        return agreement(np.take_along_axis(proxy, order, axis=-1), np.take_along_axis(target, order, axis=-1))

    return of_half


def _against(proxy: TrainedProxy, target: TrainedProxy, top: int) -> AgainstTarget:
    return AgainstTarget(
        overall=_ranking(proxy.rewards, target.rewards, top, _everywhere),
        better_half=_ranking(proxy.rewards, target.rewards, top, _in_better_half),
        corrected=estimate(corrected_correlation, proxy.rewards, target.rewards),
        per_second=estimate(correlation_per_second, proxy.rewards, proxy.seconds, target.rewards),
        early_drop=early_drop(proxy.rewards, target.rewards),
    )


def corrected_correlation(proxy: Floats, target: Floats) -> Floats:
    """Return (...) correlations that the means of (..., N, S) rewards would have without noise, at most 1.

    NaN where either has no differences between architectures.

    Source: Spearman, The proof and measurement of association between two things (American Journal of Psychology 15,
        1904): divided by the root of the product of the reliabilities.
    """
    observed = spearman(proxy.mean(-1), target.mean(-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        corrected = observed / np.sqrt(_reliability(proxy) * _reliability(target))
    limited: Floats = np.clip(corrected, -1.0, 1.0)
    return limited


def correlation_per_second(proxy: Floats, seconds: Floats, target: Floats) -> Floats:
    """Return (...) Spearman's correlations of one training with the target, over the mean seconds of one."""
    result: Floats = rank_by_one_training(spearman)(proxy, target) / seconds.mean((-1, -2))
    return result


def _reliability(rewards: Floats) -> Floats:
    """Return the share that architectures have in the variance of their means over seeds; NaN where they have none."""
    between, within = variances(rewards)
    share: Floats = np.where(between > 0, between / (between + within / rewards.shape[-1]), np.nan)
    return share


def _of_better_half(rewards: Floats) -> Estimate:
    if half_of(len(rewards)) < 2:
        return Estimate(math.nan, math.nan, math.nan)
    return intraclass_estimate(rewards, of_better_half=True)


def _mean_estimate(table: Floats) -> Estimate:
    return estimate(lambda rows: rows.mean((-1, -2)), table)


def _curve(proxy: TrainedProxy, target: TrainedProxy) -> tuple[CurvePoint, ...]:
    num_parts = proxy.losses.shape[-1]
    points = []
    for part in range(num_parts):
        # A low loss is a good one.
        scores = -proxy.losses[:, :, part]  # (N, S)
        correlation = estimate(
            rank_by_one_training(spearman), scores, target.rewards, num_resamples=NUM_RESAMPLES_OF_CURVES
        )
        intraclass = intraclass_estimate(scores, num_resamples=NUM_RESAMPLES_OF_CURVES)
        points.append(CurvePoint((part + 1) / num_parts, intraclass, correlation))
    return tuple(points)


def _settles_at(curve: tuple[CurvePoint, ...]) -> float | None:
    """Return the share of the training from which no correlation is further from the last one than may be."""
    settled = None
    for point in reversed(curve):
        # Written so that a correlation that is not known counts as far away.
        if not abs(point.spearman.value - curve[-1].spearman.value) <= SETTLED_WITHIN:
            break
        settled = point.share
    return settled
