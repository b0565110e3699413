"""Stopping: at which losses the training of a trial ends early, by the losses of those before it."""

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

from foundation import check_range
from nas.record.events import MAX_TRIALS
from nas.record.trial import Trial
from proxy_tasks import LossLimit
from proxy_tasks.base import check_share, parts_at


@dataclass(frozen=True, slots=True)
class Stopping:
    """Stops trainings of the first rung whose loss is among the worst so far.

    Attributes:
        shares: shares of a training after which its loss is looked at; none stops no training.
        worst: a training is stopped whose loss is higher than all but this share of those so far.
        min_results: losses that must be known before any training is stopped.
        margin: share by which the loss must be higher still.

    Raises:
        ValueError: a number out of range.
    """

    shares: tuple[float, ...] = ()
    worst: float = 0.5
    min_results: int = 20
    margin: float = 0.0

    def __post_init__(self) -> None:
        for share in self.shares:
            check_share(share)
        if len(set(self.shares)) < len(self.shares):
            raise ValueError(f"shares must differ, got {list(self.shares)}")
        if not 0 < self.worst < 1:
            raise ValueError(f"worst must be above 0 and below 1, got {self.worst}")
        check_range("min_results", self.min_results, 1, MAX_TRIALS, "no run has more trials")
        check_range("margin", self.margin, 0, 1e6, "no loss is as high")


class LossHistory:
    """The losses of the trials that were trained so far, and the limits that follow from them.

    A trial that was stopped before a share counts there as worse than every other. Without it, each limit would cut off
    the worst of what the last one had left, and limits would fall and fall.

    Args:
        stopping: where losses are looked at, and which are too high.
    """

    def __init__(self, stopping: Stopping) -> None:
        self._stopping = stopping
        self._sorted: dict[float, list[float]] = {share: [] for share in stopping.shares}

    def note(self, trial: Trial) -> None:
        """Take in a trial that ended; one that was promoted, failed or never trained changes nothing."""
        if trial.rung > 0 or trial.status not in ("completed", "stopped"):
            return
        for share, losses in self._sorted.items():
            loss = loss_at(trial.loss_curve, share, trial.stopped_at)
            if loss is not None:
                insort(losses, loss)

    def limits(self) -> tuple[LossLimit, ...]:
        """Return the limits of the next trial; none where too little is known."""
        limits = []
        for share, losses in self._sorted.items():
            if len(losses) < self._stopping.min_results:
                continue
            num_above = math.floor(self._stopping.worst * len(losses))
            highest = losses[len(losses) - num_above - 1]
            # Where as many have been stopped before, nothing is left to do here.
            if math.isfinite(highest):
                limits.append(LossLimit(share, highest + self._stopping.margin * abs(highest)))
        return tuple(limits)


def loss_at(curve: Sequence[float], share: float, stopped_at: float | None = None) -> float | None:
    """Return the loss that a training had after a share of it.

    Args:
        curve: mean loss in each part of the training that was done.
        share: of the whole training.
        stopped_at: share after which it was stopped; None where it came to its end.

    Returns:
        Infinity where it was stopped before; None where it has no curve, or none with a point before its end.
    """
    if not curve:
        return None
    num_parts = len(curve) if stopped_at is None else round(len(curve) / stopped_at)
    num_done = parts_at(share, num_parts)
    if num_done >= num_parts:
        return None
    return curve[num_done - 1] if num_done <= len(curve) else math.inf
