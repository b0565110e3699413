"""The scale of features: how much each counts in the distance of two architectures."""

from collections.abc import Sequence

import numpy as np

from controllers.gaussian_process import Floats

SPARSE = ("neighbourhood", "place")
"""Beginnings of the names of features of which there are many, and each is rarely set."""
SPARSE_SHARE = 0.1
"""Share of each sort of them in a squared distance; the others have the rest.

They tell architectures apart that have the same counts. Given more, a model learns more slowly: measured on two
landscapes, docs/controllers.md.
"""


def feature_scale(features: Floats, names: Sequence[str]) -> Floats:
    """Return (F,) factors, under which two of (N, F) points are apart by a squared distance of 2 in the mean.

    Features that are not sparse count alike: each is divided by its standard deviation, or by half of the median of
    all, so that one that hardly ever changes does not outweigh the others. Sparse ones count as they are.

    Args:
        features: of the points.
        names: (F,) of the features.
    """
    deviations = features.std(0)
    factors = np.zeros(len(names))
    parts = [np.array([name.startswith(sort) for name in names], dtype=bool) for sort in SPARSE]
    rest = ~np.logical_or.reduce(parts)
    shares = [*(SPARSE_SHARE for _ in SPARSE), 1 - SPARSE_SHARE * len(SPARSE)]

    for part, share in zip([*parts, rest], shares, strict=True):
        varies = part & (deviations > 0)
        if not varies.any():
            continue
        own = np.ones(int(varies.sum()))
        if part is rest:
            own = 1 / np.maximum(deviations[varies], np.median(deviations[varies]) / 2)
        spread = float(np.square(own * deviations[varies]).sum())
        factors[varies] = own * np.sqrt(share / spread)
    return factors
