"""Hard limits: what an architecture may cost at most to be trained at all."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits on what an architecture costs at the scale of the search.

    Attributes:
        highest: the most that is trained, by the name of the cost; None for no limit.

    Raises:
        ValueError: a limit that is not above 0.
    """

    highest: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, limit in self._given.items():
            if not 0 < limit < math.inf:
                raise ValueError(f"limits.{name} must be above 0, or null for no limit, got {limit}")

    @property
    def names(self) -> tuple[str, ...]:
        """Costs that are limited."""
        return tuple(self._given)

    def violation(self, costs: Mapping[str, float]) -> str | None:
        """Return which limit is broken and by how much; None where all are kept."""
        for name, limit in self._given.items():
            # A cost that is not a number keeps no limit.
            if not costs[name] <= limit:
                return f"{name} {cost_text(costs[name])}, limit {cost_text(limit)}"
        return None

    @property
    def _given(self) -> dict[str, float]:
        return {name: limit for name, limit in self.highest.items() if limit is not None}


def cost_text(cost: float) -> str:
    """Return a cost in digits: a large one as a whole number, one below 1,000 with what stands behind the point."""
    return f"{cost:,.0f}" if cost >= 1000 else f"{cost:.4g}"
