"""The failures of a report's runs: each kind, how often it came, and the message of the first one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.record.failures import failure_counts
from nas.reporting.runs import ReportedRun


@dataclass(frozen=True, slots=True)
class FailureRow:
    """One kind of failure.

    Attributes:
        kind: the kind's word on record.
        num_trials: trials that ended in it.
        num_retried: attempts that failed in this way without ending their trial.
        first_run: name of the first reported run that has it.
        first_trial: number of the first trial there that has it.
        message: message of that failure.
    """

    kind: str
    num_trials: int
    num_retried: int
    first_run: str
    first_trial: int
    message: str


def failure_rows(runs: Sequence[ReportedRun]) -> list[FailureRow]:
    """Return a row for each kind, the most frequent first; trials over a limit count too."""
    rows: dict[str, FailureRow] = {}
    for run in runs:
        for count in failure_counts(run.record.trials.values()):
            # The first run that has the kind keeps its message.
            known = rows.get(count.kind)
            if known is None:
                known = FailureRow(count.kind, 0, 0, run.name, count.first_trial, count.first_message)
            rows[count.kind] = replace(
                known,
                num_trials=known.num_trials + count.num_ended,
                num_retried=known.num_retried + count.num_retried,
            )

    return sorted(rows.values(), key=lambda row: -(row.num_trials + row.num_retried))
