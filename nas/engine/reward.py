"""How metrics become the one number to maximise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

MAX_WEIGHT = 10.0
"""Of a target; a cost twice the target then leaves a thousandth."""


@runtime_checkable
class Reward(Protocol):
    """Turns the metrics of a trial into a reward."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that are looked at; the first is to be maximised, the others are costs."""
        ...

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """Return the reward; not finite where a metric is not."""
        ...


def objectives_of(reward: Reward, metrics: Mapping[str, float]) -> tuple[float, ...]:
    """Return what a reward is a compromise of, each to be maximised: its metric and its costs, negative."""
    first, *costs = reward.metrics
    return (metrics[first], *(-metrics[cost] for cost in costs))


@dataclass(frozen=True, slots=True)
class MetricReward:
    """One metric as it is; `ap` in the paper (SpineNet, arXiv 1912.05027, section 5.1).

    Attributes:
        metric: to be maximised.
        costs: metrics to keep low, which a controller with several objectives looks at; the reward does not.
    """

    metric: str = "ap"
    costs: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric and the costs."""
        return (self.metric, *self.costs)

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """Return the metric."""
        return metrics[self.metric]


@dataclass(frozen=True, slots=True)
class Target:
    """What a cost should be, and what missing it means.

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
        if self.target is not None and not 0 < self.target < math.inf:
            raise ValueError(f"target must be above 0, or null for none, got {self.target}")
        if not 0 < self.weight <= MAX_WEIGHT:
            raise ValueError(f"weight must be above 0 and at most {MAX_WEIGHT:g}, got {self.weight}")
        if self.form not in ("hard", "soft"):
            raise ValueError(f"form must be hard or soft, got {self.form!r}")

    def factor(self, cost: float) -> float:
        """Return what the metric is multiplied by."""
        if self.target is None:
            return 1.0
        factor = math.pow(self.target / cost, self.weight)
        return min(factor, 1.0) if self.form == "hard" else factor


@dataclass(frozen=True, slots=True)
class TargetReward:
    """A metric times a factor for each target that is missed; see `Target`.

    Attributes:
        metric: to be maximised.
        macs: multiply-adds of one image at the scale of the search.
        params: parameters at that scale.
        latency_ms: of one image, as the task measures it.

    Raises:
        ValueError: no target is given.
    """

    metric: str = "ap"
    macs: Target = field(default_factory=Target)
    params: Target = field(default_factory=Target)
    latency_ms: Target = field(default_factory=Target)

    def __post_init__(self) -> None:
        if not self._targets:
            raise ValueError("needs a target: macs.target, params.target or latency_ms.target")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric and the costs that have a target."""
        return (self.metric, *self._targets)

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """Return the product of the metric and the factors of all targets."""
        return metrics[self.metric] * math.prod(target.factor(metrics[name]) for name, target in self._targets.items())

    @property
    def _targets(self) -> dict[str, Target]:
        targets = {"macs": self.macs, "params": self.params, "latency_ms": self.latency_ms}
        return {name: target for name, target in targets.items() if target.target is not None}
