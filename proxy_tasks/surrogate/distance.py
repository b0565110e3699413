"""The distance of an architecture from recorded ones, and the one beyond which they say nothing about it."""

from collections.abc import Sequence

import numpy as np

from proxy_tasks.surrogate.forest import Features, Floats

_LEFT_OUT = ("neighbourhood", "place")
"""Features that are 1 for few architectures each: two that have nothing unusual would be as far apart as any."""


class Neighbourhood:
    """Measures how far features are from the nearest of those recorded.

    Only counts and lengths matter, each divided by its standard deviation over those recorded. One that (almost) never
    varies there counts as if one architecture of them had another value: what none has is far, not infinitely far.

    Args:
        names: (F,) of the features.
        features: (N, F) of those recorded; N is 2 or more.

    Attributes:
        reach: the largest distance of any recorded architecture from the nearest other.
    """

    def __init__(self, names: Sequence[str], features: Features) -> None:
        self._counted = np.array([not name.startswith(_LEFT_OUT) for name in names])
        counted = features[:, self._counted].astype(np.float64)
        self._deviation = np.maximum(counted.std(0), len(counted) ** -0.5)
        self._recorded: Floats = counted / self._deviation

        # One architecture at a time: all pairs at once would take N * N * F numbers.
        nearest = []
        for i, point in enumerate(self._recorded):
            squares = ((self._recorded - point) ** 2).sum(1)
            nearest.append(np.delete(squares, i).min())
        self.reach = float(np.sqrt(max(nearest)))

    def distance(self, features: Features) -> float:
        """Return how far (F,) features are from the nearest of those recorded."""
        squares = ((self._recorded - features[self._counted] / self._deviation) ** 2).sum(1)
        return float(np.sqrt(squares.min()))
