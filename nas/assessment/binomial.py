"""The interval of a share that was counted."""

import math
from collections.abc import Callable

from nas.assessment.interval import Estimate

_TAIL = 0.025
_NUM_HALVINGS = 50


def share_estimate(count: int, number: int) -> Estimate:
    """Return the share that `count` of `number` are, with its exact 95 % interval; NaN for none of none.

    Source: Clopper and Pearson, The Use of Confidence or Fiducial Limits (Biometrika 26, 1934).
    """
    if number == 0:
        return Estimate(math.nan, math.nan, math.nan)
    low = 0.0 if count == 0 else _share_where(lambda share: 1 - _at_most(count - 1, number, share) < _TAIL)
    high = 1.0 if count == number else _share_where(lambda share: _at_most(count, number, share) > _TAIL)
    return Estimate(count / number, low, high)


def fewest_with_none(bound: float) -> int:
    """Return how many must be looked at, and none found, for the interval of their share to end below a bound."""
    return math.ceil(math.log(_TAIL) / math.log1p(-bound))


def _share_where(holds_below: Callable[[float], bool]) -> float:
    """Return the share up to which something holds."""
    low, high = 0.0, 1.0
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds_below(middle) else (low, middle)
    return (low + high) / 2


def _at_most(count: int, number: int, share: float) -> float:
    """Return the probability that at most `count` of `number` are found, of which each is with probability `share`."""
    terms = (
        math.lgamma(number + 1)
        - math.lgamma(k + 1)
        - math.lgamma(number - k + 1)
        + k * math.log(share)
        + (number - k) * math.log1p(-share)
        for k in range(count + 1)
    )
    return math.fsum(math.exp(term) for term in terms)
