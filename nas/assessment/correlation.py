"""Agreement between two lists of rewards of the same architectures: rank correlations, and the regret of a choice.

Every function takes lists as (..., N) arrays and returns (...) figures, so that a bootstrap is one call over (R, N).
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


def spearman(first: Floats, second: Floats) -> Floats:
    """Return Spearman's correlation: Pearson's of the ranks, equal values sharing the mean of their ranks.

    Where all values of a list are equal there is no order, and the figure is NaN.
    """
    return _pearson(_ranks(first), _ranks(second))


def kendall_tau_b(first: Floats, second: Floats) -> Floats:
    """Return Kendall's tau-b: pairs in equal order less pairs in opposite order, over those that are not tied.

    Where all values of a list are equal there is no order, and the figure is NaN.

    Source: Kendall, The treatment of ties in ranking problems (Biometrika 33, 1945).
    """
    order_of_first, order_of_second = _order_of_pairs(first), _order_of_pairs(second)  # (..., N, N)
    agreement = (order_of_first * order_of_second).sum((-1, -2))
    num_ordered = np.abs(order_of_first).sum((-1, -2)) * np.abs(order_of_second).sum((-1, -2))
    return _divided(agreement, np.sqrt(num_ordered))


def top_regret(proxy: Floats, target: Floats, top: int) -> Floats:
    """Return the target's best value less its best value among the `top` that the proxy ranks highest.

    0 says that the best architecture is among those that a search would replay.

    Raises:
        ValueError: `top` is not between 1 and the number of architectures.
    """
    if not 1 <= top <= proxy.shape[-1]:
        raise ValueError(f"top must be 1 to {proxy.shape[-1]}, the number of architectures, got {top}")

    chosen = np.argsort(-proxy, axis=-1, kind="stable")[..., :top]
    regret: Floats = target.max(-1) - np.take_along_axis(target, chosen, axis=-1).max(-1)
    return regret


def _ranks(values: Floats) -> Floats:
    """Return ranks from 0, the mean of their ranks for values that are equal."""
    order = _order_of_pairs(values)
    # Each value stands above those that it exceeds, and halfway among its equals.
    ranks: Floats = (order > 0).sum(-1) + 0.5 * ((order == 0).sum(-1) - 1)
    return ranks


def _order_of_pairs(values: Floats) -> Floats:
    """Return (..., N, N) signs: 1 where the first of a pair is larger, -1 where it is smaller, 0 where equal."""
    order: Floats = np.sign(values[..., :, None] - values[..., None, :])
    return order


def _pearson(first: Floats, second: Floats) -> Floats:
    first = first - first.mean(-1, keepdims=True)
    second = second - second.mean(-1, keepdims=True)
    return _divided((first * second).sum(-1), np.sqrt((first**2).sum(-1) * (second**2).sum(-1)))


def _divided(number: Floats, divisor: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        result: Floats = np.where(divisor > 0, number / np.where(divisor > 0, divisor, 1.0), np.nan)
    return result
