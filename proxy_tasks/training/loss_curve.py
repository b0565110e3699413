"""The loss curve of a training: its parts, and the limits at which it ends early."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from proxy_tasks.base import LossLimit, parts_at

NUM_CURVE_POINTS = 20
"""Points of a trial's loss curve: enough to see it fall or diverge, and little to keep for 100,000 trials."""


def loss_curve(losses: NDArray[np.float64], num_steps: int) -> tuple[float, ...]:
    """Return the mean loss, to five digits, of each part of a training that is done.

    Args:
        losses: (N,) loss of each step so far.
        num_steps: steps of the whole training, in parts as equal as can be.

    Returns:
        A mean for each of the `NUM_CURVE_POINTS` parts that is whole; of fewer steps each is a part.
    """
    starts = [0, *_ends(num_steps)]
    whole = [(start, end) for start, end in pairwise(starts) if end <= len(losses)]
    return tuple(float(f"{losses[start:end].mean():.5g}") for start, end in whole)


def limits_by_step(limits: Sequence[LossLimit], num_steps: int) -> Mapping[int, float]:
    """Return the highest loss that each part of a training may have, by the number of steps after which it is whole.

    Limits that only the end of the training would come to are left out.
    """
    ends = _ends(num_steps)
    lowest: dict[int, float] = {}
    for limit in limits:
        step = ends[parts_at(limit.share, len(ends)) - 1]
        lowest[step] = min(limit.max_loss, lowest.get(step, limit.max_loss))
    return {step: limit for step, limit in lowest.items() if step < num_steps}


def share_done(curve: Sequence[float], num_steps: int) -> float:
    """Return the share of a training that is done, by the parts of its curve."""
    return len(curve) / len(_ends(num_steps))


def _ends(num_steps: int) -> list[int]:
    """Return the steps after which each part of a training is whole."""
    num_parts = min(NUM_CURVE_POINTS, num_steps)
    # The first parts have one step more where the number of steps cannot be divided.
    size, num_longer = divmod(num_steps, num_parts)
    return [part * size + min(part, num_longer) for part in range(1, num_parts + 1)]
