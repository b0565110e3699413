"""What went wrong in the runs of a report: each kind of failure, how often, and what the first one said."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nas.reporting.runs import ReportedRun
from nas.trial import Failure


@dataclass(frozen=True, slots=True)
class FailureRow:
    """One kind of failure.

    Attributes:
        kind: as on record.
        num_trials: that ended in it.
        num_retried: attempts that failed so and did not end their trial.
        first_run: name of the run in which it came first, of those reported.
        first_trial: number of the trial there.
        message: of that first one.
    """

    kind: str
    num_trials: int
    num_retried: int
    first_run: str
    first_trial: int
    message: str


def failure_rows(runs: Sequence[ReportedRun]) -> list[FailureRow]:
    """Return a row for each kind, the most frequent first; trials over a limit count too."""
    first: dict[str, tuple[str, int, Failure]] = {}
    ended, retried = Counter[str](), Counter[str]()
    for run in runs:
        for trial in run.record.trials.values():
            ends = () if trial.failure is None else (trial.failure,)
            for failure in (*trial.attempts, *ends):
                first.setdefault(failure.kind, (run.name, trial.number, failure))
            ended.update(failure.kind for failure in ends)
            retried.update(failure.kind for failure in trial.attempts)
    rows = [
        FailureRow(kind, ended[kind], retried[kind], name, number, failure.message)
        for kind, (name, number, failure) in first.items()
    ]
    return sorted(rows, key=lambda row: -(row.num_trials + row.num_retried))
