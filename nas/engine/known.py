"""Known architectures: which were trained, which are in training, and which trials wait for one of those."""

from typing import TypeAlias

from nas.record.trial import Trial
from proxy_tasks import Numerics

MAX_WAITING = 100
"""Most trials that wait for others of their architectures. A controller that proposes more of them repeats itself, and
must not use up all trials before it is told anything."""

_Training: TypeAlias = tuple[str, int]
"""Key and rung: more training of the same architecture is another training."""


class KnownArchitectures:
    """Keeps equal architectures from being trained twice, one after the other or side by side.

    Example:
        >>> known.begin(trial)        # True: train it
        >>> known.begin(same)         # False: `same` waits for `trial`
        >>> known.end(trial)          # [same.number]: take it up again
        >>> known.trained_by(same, numerics)    # trial.number, if that did not fail and was in these; else `begin` it
    """

    def __init__(self) -> None:
        self._trained: dict[tuple[_Training, Numerics | None], int] = {}
        self._stopped: dict[tuple[_Training, Numerics | None], int] = {}
        self._in_training: set[_Training] = set()
        self._waiting: list[Trial] = []

    def trained_by(self, trial: Trial, numerics: Numerics | None = None) -> int | None:
        """Return the first trial that gave the same architecture as much training in this arithmetic; None before one.

        One that was stopped counts for a trial with limits: the same training would fall as far behind. For one without
        it does not, which is to be trained to its end. Nor do results in another arithmetic: the same training would
        have ended elsewhere.
        """
        training = _training(trial), numerics
        whole = self._trained.get(training)
        return self._stopped.get(training) if whole is None and trial.loss_limits else whole

    def begin(self, trial: Trial) -> bool:
        """Return whether to train a trial now; if not, it waits until the one in training ends."""
        training = _training(trial)
        if training in self._in_training and len(self._waiting) < MAX_WAITING:
            self._waiting.append(trial)
            return False
        self._in_training.add(training)
        return True

    def interrupt(self, trial: Trial) -> None:
        """Note that an attempt at a trial failed and did not end it; those that wait for it keep waiting."""
        self._in_training.discard(_training(trial))

    def end(self, trial: Trial) -> list[int]:
        """Note that a trial ended, now or in an earlier start of the run; one that was not trained changes nothing.

        Returns:
            Numbers of the trials that waited for it, in the order in which they came.
        """
        if trial.status not in ("completed", "stopped", "failed"):
            return []
        training = _training(trial)
        self._in_training.discard(training)
        if trial.status != "failed":
            ended = self._stopped if trial.status == "stopped" else self._trained
            ended.setdefault((training, trial.numerics), trial.number)

        # All are released, even after a failure: the first one then begins, and the others wait for that one.
        released = [waiting.number for waiting in self._waiting if _training(waiting) == training]
        self._waiting = [waiting for waiting in self._waiting if _training(waiting) != training]
        return released


def _training(trial: Trial) -> _Training:
    return trial.key, trial.rung
