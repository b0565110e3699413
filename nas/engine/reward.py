"""Rewards: from the metrics of a trial to the one number to maximise."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from foundation import check_range

MAX_WEIGHT = 10.0
"""Highest weight of a target; a cost twice the target then leaves a thousandth of the reward."""
MAX_METRIC_WEIGHT = 1e6
"""Highest weight of a metric in a sum; metrics that are fractions need none near it."""

LISTED_COSTS = ("macs", "params", "latency_ms")
"""Costs that `experiments/reward/targets.yaml` lists for every task, with null for no target."""


@runtime_checkable
class Reward(Protocol):
    """Turns the metrics of a trial into a reward."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that are looked at; the first is to be maximised, the others are costs.

        Of a `WeighedReward` all are to be maximised.
        """
        ...

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """Return the reward; not finite where a metric is not."""
        ...


def named_metrics(reward: Reward) -> tuple[str, ...]:
    """Return the metrics that a reward names: those too that it has no target for, where no YAML file lists them."""
    named = reward.costs if isinstance(reward, TargetReward) else ()
    return (*reward.metrics, *(cost for cost in named if cost not in (*LISTED_COSTS, *reward.metrics)))


def objectives_of(reward: Reward, metrics: Mapping[str, float]) -> tuple[float, ...]:
    """Return the objectives that a reward weighs up, each to be maximised: its metric, and its costs negated."""
    if isinstance(reward, WeighedReward):
        return tuple(metrics[name] for name in reward.metrics)
    first, *costs = reward.metrics
    return (metrics[first], *(-metrics[cost] for cost in costs))


@dataclass(frozen=True, slots=True)
class MetricReward:
    """Rewards one metric, unchanged; AP in the paper (SpineNet, arXiv 1912.05027, section 5.1).

    Attributes:
        metric: name of the metric to maximise.
        costs: metrics to keep low, which a controller with several objectives looks at; the reward does not.
    """

    metric: str
    costs: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric and the costs."""
        return (self.metric, *self.costs)

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """Return the metric."""
        return metrics[self.metric]


@dataclass(frozen=True, slots=True)
class WeighedReward:
    """Rewards several metrics of one task, each to be maximised: their sum, each times its weight.

    Attributes:
        weights: weight of each metric, by its name; of one that is None the metric is not looked at.

    Raises:
        ValueError: no weight is given, or one is out of range.
    """

    weights: Mapping[str, float | None]

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError("weights needs a metric with its weight, as weights.ap=0.5")
        for name, weight in self._given.items():
            if not 0 < weight <= MAX_METRIC_WEIGHT:
                raise ValueError(
                    f"weights.{name} must be above 0 and at most {MAX_METRIC_WEIGHT:g}, or null for none, got {weight}"
                )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that have a weight."""
        return tuple(self._given)

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """Return the sum."""
        return sum(weight * metrics[name] for name, weight in self._given.items())

    @property
    def _given(self) -> dict[str, float]:
        return {name: weight for name, weight in self.weights.items() if weight is not None}


@dataclass(frozen=True, slots=True)
class Target:
    """The value that a cost should stay below, and how much a higher cost takes off the reward.

    The metric is multiplied by `(target / cost) ** weight`.

    Attributes:
        target: in the unit of the cost; None for no target.
        weight: 1 halves the reward of what costs twice the target; 0.07 takes 5 % off.
        form: `hard` changes nothing below the target; `soft` also rewards being below.

    Raises:
        ValueError: a value out of range.

    Source: the forms are those of MnasNet (arXiv 1807.11626), section 3, whose hard form is steeper: alpha 0, beta -1
        is weight 1 here, and whose soft form is weight 0.07.
    """

    target: float | None = None
    weight: float = 1.0
    form: Literal["hard", "soft"] = "hard"

    def __post_init__(self) -> None:
        if self.target is not None:
            check_range("target", self.target, 1e-12, 1e18, "no architecture costs more; null is for none")
        if not 0 < self.weight <= MAX_WEIGHT:
            raise ValueError(f"weight must be above 0 and at most {MAX_WEIGHT:g}, got {self.weight}")
        if self.form not in ("hard", "soft"):
            raise ValueError(f"form must be hard or soft, got {self.form!r}")

    def factor(self, cost: float) -> float:
        """Return what the metric is multiplied by; not finite where the cost allows no finite factor."""
        if self.target is None or (self.form == "hard" and cost <= self.target):
            return 1.0

        # A cost of nothing would be rewarded without end; for one below nothing there is no ratio at all.
        if not cost > 0:
            return math.inf if cost == 0 else math.nan
        try:
            return math.pow(self.target / cost, self.weight)
        except OverflowError:
            return math.inf


class TargetReward:
    """Multiplies a metric by a factor for each cost that has a target; see `Target`.

    Attributes:
        costs: names of all costs that were given, those without a target too.

    Args:
        metric: name of the metric to maximise.
        targets: target of each cost, by its name: any metric of the task, in the unit that the metric has. Costs whose
            target is None are not looked at.

    Raises:
        ValueError: no target is given.
    """

    def __init__(self, /, metric: str, **targets: Target) -> None:
        self._metric = metric
        self.costs = tuple(targets)
        self._targets = {name: target for name, target in targets.items() if target.target is not None}
        if not self._targets:
            raise ValueError(f"needs a target: {_either([f'{name}.target' for name in targets] or ['macs.target'])}")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric and the costs that have a target."""
        return (self._metric, *self._targets)

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """Return the product of the metric and the factors of all targets."""
        return metrics[self._metric] * math.prod(target.factor(metrics[name]) for name, target in self._targets.items())


def _either(options: Sequence[str]) -> str:
    """Return options in words, as `a, b or c`."""
    *others, last = options
    return f"{', '.join(others)} or {last}" if others else last
