"""The assessment of a study: figures and verdict of every proxy, and the proxies compared in pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from nas.assessment.correlation import Floats, spearman
from nas.assessment.figures import ProxyFigures, correlation_per_second, figures_of, rank_by_one_training
from nas.assessment.interval import Estimate, estimate
from nas.assessment.trained import ProxyRuns, TrainedProxy, trainings_of
from nas.assessment.verdict import verdict_of


@dataclass(frozen=True, slots=True)
class AssessedProxy:
    """A proxy with its figures and the verdict in words."""

    figures: ProxyFigures
    verdict: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two proxies by what they say of the same architectures with the same seeds.

    Attributes:
        first, second: their names.
        spearman: correlation of the first with the target, less that of the second.
        per_second: the same for each second that a trial takes; NaN where times are not known.
    """

    first: str
    second: str
    spearman: Estimate
    per_second: Estimate


@dataclass(frozen=True, slots=True)
class Assessment:
    """The findings of a study.

    Attributes:
        num_architectures: with a reward in every run, over which all figures are.
        num_left_out: that lack a reward in some run.
        target: name of the target; None where there is none.
        top: number of architectures that regrets look at.
        proxies: each proxy, the target last, if there is one.
        comparisons: of each pair of proxies, where there is a target.
    """

    num_architectures: int
    num_left_out: int
    target: str | None
    top: int
    proxies: tuple[AssessedProxy, ...]
    comparisons: tuple[Comparison, ...]


def assess(candidates: Sequence[ProxyRuns], target: ProxyRuns | None, top: int) -> Assessment:
    """Return all figures of some proxies, over the architectures that all of them and the target have rewards of.

    Raises:
        InputError: as `trainings_of`.
    """
    trainings = trainings_of([*candidates, *([] if target is None else [target])])
    num_candidates = len(candidates)
    proxies = trainings.proxies[:num_candidates]
    of_target = None if target is None else trainings.proxies[num_candidates]

    figures = [figures_of(proxy, of_target, top) for proxy in proxies]
    if of_target is not None:
        figures.append(figures_of(of_target, None, top))

    return Assessment(
        num_architectures=len(trainings.keys),
        num_left_out=trainings.num_left_out,
        target=None if target is None else target.name,
        top=top,
        proxies=tuple(AssessedProxy(one, verdict_of(one)) for one in figures),
        comparisons=_comparisons(proxies, of_target),
    )


def _comparisons(proxies: Sequence[TrainedProxy], target: TrainedProxy | None) -> tuple[Comparison, ...]:
    if target is None:
        return ()
    return tuple(_comparison(first, second, target) for first, second in combinations(proxies, 2))


def _comparison(first: TrainedProxy, second: TrainedProxy, target: TrainedProxy) -> Comparison:
    """Compare two proxies on equal resamples, so that what makes a sample easy for both cancels out."""
    correlation = rank_by_one_training(spearman)

    def difference(one: Floats, other: Floats, truth: Floats) -> Floats:
        return correlation(one, truth) - correlation(other, truth)

    def difference_per_second(one: Floats, time: Floats, other: Floats, other_time: Floats, truth: Floats) -> Floats:
        return correlation_per_second(one, time, truth) - correlation_per_second(other, other_time, truth)

    return Comparison(
        first=first.name,
        second=second.name,
        spearman=estimate(difference, first.rewards, second.rewards, target.rewards),
        per_second=estimate(
            difference_per_second, first.rewards, first.seconds, second.rewards, second.seconds, target.rewards
        ),
    )
