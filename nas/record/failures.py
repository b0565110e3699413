"""Counts of the failures on record, by kind."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from nas.record.trial import Failure, FailureKind, Trial


@dataclass(slots=True)
class FailureCount:
    """One kind of failure among some trials.

    Attributes:
        kind: the kind's word on record.
        first_trial: number of the first trial that failed in this way.
        first_message: message of that failure.
        num_ended: trials that ended in it.
        num_retried: attempts that failed in this way without ending their trial.
    """

    kind: FailureKind
    first_trial: int
    first_message: str
    num_ended: int = 0
    num_retried: int = 0


def failure_counts(trials: Iterable[Trial]) -> list[FailureCount]:
    """Return a count for each kind, in the order in which the kinds came; trials over a limit count too."""
    counts: dict[FailureKind, FailureCount] = {}

    def count_of(failure: Failure, trial: Trial) -> FailureCount:
        return counts.setdefault(failure.kind, FailureCount(failure.kind, trial.number, failure.message))

    for trial in trials:
        for failure in trial.attempts:
            count_of(failure, trial).num_retried += 1
        if trial.failure is not None:
            count_of(trial.failure, trial).num_ended += 1

    return list(counts.values())


def failure_lines(trials: Iterable[Trial]) -> list[str]:
    """Return a line for each kind that ended a trial, the most frequent first, with what the first trial said."""
    # Attempts that did not end their trial are left out, and so are trials over a limit.
    ended = failure_counts(replace(trial, attempts=()) for trial in trials if trial.status == "failed")

    ended.sort(key=lambda count: -count.num_ended)
    return [
        f"{count.num_ended} {count.kind}, first in trial {count.first_trial}: {count.first_message}" for count in ended
    ]
