"""The rule for which rewards compare, and the best of those that do."""

from collections.abc import Iterable

from nas.record.identity import complete_options
from nas.record.record import Record
from nas.record.trial import Trial


def compares(trial: Trial, rung: int = 0) -> bool:
    """Return whether a trial has a reward that compares with those of a rung.

    Trials of another rung had another amount of training: code that ranks, draws or averages rewards asks here first.
    """
    return trial.reward is not None and trial.rung == rung


def furthest_rung(trials: Iterable[Trial]) -> int:
    """Return the highest rung that has a reward, whose trials a ranking begins with; 0 where there is none."""
    return max((trial.rung for trial in trials if trial.reward is not None), default=0)


def furthest_schedule(record: Record) -> tuple[int, str, bool]:
    """Return how the furthest promoted trials of a run were trained; with one fidelity, equal ones as long.

    Returns:
        Their rung, how many times the epochs of the one below each rung has, and whether they continued from kept
        weights: not from scratch, as a replay trains.
    """
    rung = furthest_rung(record.trials.values())
    if not rung:
        return 0, "", False
    options = complete_options(record.created.config)
    return rung, str(options["promotion.reduction"]), bool(options["promotion.keep_weights"])


class BestSoFar:
    """The best reward of the first rung, kept up while results come.

    Attributes:
        reward: the best so far; None before the first.
    """

    def __init__(self) -> None:
        self.reward: float | None = None

    def take(self, trial: Trial) -> float | None:
        """Take in a trial that ended; return the best reward, this one included."""
        if compares(trial) and (self.reward is None or (trial.reward or 0.0) > self.reward):
            self.reward = trial.reward
        return self.reward
