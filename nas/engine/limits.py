"""What an architecture may cost at most to be trained at all."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits at the scale of the search; None where there is none.

    Attributes:
        macs: multiply-adds of one image.
        params: trainable parameters.

    Raises:
        ValueError: a limit that is not above 0.
    """

    macs: float | None = None
    params: float | None = None

    def __post_init__(self) -> None:
        for name, limit in self._given.items():
            if not 0 < limit < math.inf:
                raise ValueError(f"{name} must be above 0, or null for no limit, got {limit}")

    @property
    def names(self) -> tuple[str, ...]:
        """Costs that are limited."""
        return tuple(self._given)

    def violation(self, costs: Mapping[str, float]) -> str | None:
        """Return which limit is broken and by how much; None where all are kept."""
        for name, limit in self._given.items():
            if costs[name] > limit:
                return f"{name} {costs[name]:,.0f}, limit {limit:,.0f}"
        return None

    @property
    def _given(self) -> dict[str, float]:
        limits = {"macs": self.macs, "params": self.params}
        return {name: limit for name, limit in limits.items() if limit is not None}
