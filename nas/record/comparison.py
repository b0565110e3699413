"""The rule for which rewards compare, and the best of those that do."""

from collections.abc import Iterable

from nas.record.trial import Trial


def compares(trial: Trial, rung: int = 0) -> bool:
    """Return whether a trial has a reward that compares with those of a rung.

    Trials of another rung had another amount of training: code that ranks, draws or averages rewards asks here first.
    """
    return trial.reward is not None and trial.rung == rung


def furthest_rung(trials: Iterable[Trial]) -> int:
    """Return the highest rung that has a reward, whose trials a ranking begins with; 0 where there is none."""
    return max((trial.rung for trial in trials if trial.reward is not None), default=0)


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
