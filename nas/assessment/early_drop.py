"""Early drop: what is saved and lost where the worst quarter of a cheap proxy is not trained any further."""

from dataclasses import dataclass

import numpy as np

from nas.assessment.correlation import Floats
from nas.assessment.interval import Estimate, estimate
from nas.assessment.spread import half_of

_PARTS = 4
"""One in so many is dropped."""


@dataclass(frozen=True, slots=True)
class EarlyDrop:
    """Shares of the target's halves that are among the worst quarter of one training of the proxy.

    Attributes:
        of_hopeless: share of the target's worse half, 0.5 at most where the number of architectures is even.
        of_good: share of the target's better half, lost by mistake.
    """

    of_hopeless: Estimate
    of_good: Estimate


def early_drop(proxy: Floats, target: Floats) -> EarlyDrop:
    """Return what dropping the worst quarter of (N, S) rewards of a proxy does, by (N, S) rewards of the target."""
    return EarlyDrop(
        of_hopeless=estimate(lambda *tables: _shares_dropped(*tables)[0], proxy, target),
        of_good=estimate(lambda *tables: _shares_dropped(*tables)[1], proxy, target),
    )


def _shares_dropped(proxy: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Return (...) shares of the target's worse and better half that one training of the proxy drops, mean over seeds.

    Args:
        proxy: (..., N, S) rewards.
        target: (..., N, S) rewards.
    """
    num_architectures = proxy.shape[-2]
    is_dropped = _ranks_from_best(proxy, axis=-2) >= num_architectures - max(1, num_architectures // _PARTS)
    num_good = half_of(num_architectures)
    is_good = (_ranks_from_best(target.mean(-1), axis=-1) < num_good)[..., None]  # (..., N, 1)

    hopeless = (is_dropped & ~is_good).sum(-2).mean(-1) / (num_architectures - num_good)
    good = (is_dropped & is_good).sum(-2).mean(-1) / num_good
    return hopeless, good


def _ranks_from_best(values: Floats, axis: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    order = np.argsort(-values, axis=axis, kind="stable")
    return np.argsort(order, axis=axis, kind="stable")
