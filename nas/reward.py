"""How metrics become the one number to maximise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Reward(Protocol):
    """Turns the metrics of a trial into a reward."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that are looked at."""
        ...

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """Return the reward; not finite where a metric is not."""
        ...


@dataclass(frozen=True, slots=True)
class MetricReward:
    """One metric as it is; `ap` in the paper (SpineNet, arXiv 1912.05027, section 5.1)."""

    metric: str = "ap"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The one metric."""
        return (self.metric,)

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """Return the metric."""
        return metrics[self.metric]
