"""All trials of a report as columns, which take a third of the size of a mapping for each trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.record.trial import Trial
from nas.reporting.runs import ReportedRun

_NUM_DIGITS = 7


@dataclass(frozen=True, slots=True)
class TrialColumns:
    """Values of N trials, run after run, in each run by number; None where a trial has none.

    Attributes:
        trial: number in its run.
        run: index of its run among those reported.
        result: 1 for the first result of its run, 2 for the second; None while it is running.
        status: running, completed, stopped, failed, reused or rejected.
        rung: how often its architecture had been promoted.
        reward: what the controller was told.
        seconds: time of the evaluation, all parts together.
        metrics: values of each metric, by name; figures have seven digits.
        key: key of the architecture.
        spec: its blocks in short form.
        failure: kind and message; empty where it did not fail.
    """

    trial: tuple[int, ...]
    run: tuple[int, ...]
    result: tuple[int | None, ...]
    status: tuple[str, ...]
    rung: tuple[int, ...]
    reward: tuple[float | None, ...]
    seconds: tuple[float | None, ...]
    metrics: dict[str, tuple[float | None, ...]]
    key: tuple[str, ...]
    spec: tuple[str, ...]
    failure: tuple[str, ...]


def trial_columns(runs: Sequence[ReportedRun]) -> TrialColumns:
    """Return all trials of the runs."""
    trials: list[Trial] = []
    run_indices: list[int] = []
    metrics: list[Mapping[str, float]] = []
    results: list[int | None] = []
    for run_index, run in enumerate(runs):
        # Results come in another order than trials were asked for.
        result_of = {number: result for result, number in enumerate(run.record.told, start=1)}
        trials += run.record.trials.values()
        run_indices += [run_index] * len(run.record.trials)
        metrics += [run.metrics_of(trial) for trial in run.record.trials.values()]
        results += [result_of.get(number) for number in run.record.trials]

    names = dict.fromkeys(name for own in metrics for name in own)
    return TrialColumns(
        trial=tuple(trial.number for trial in trials),
        run=tuple(run_indices),
        result=tuple(results),
        status=tuple(trial.status for trial in trials),
        rung=tuple(trial.rung for trial in trials),
        reward=tuple(_short(trial.reward) for trial in trials),
        seconds=tuple(_short(sum(trial.seconds.values())) if trial.seconds else None for trial in trials),
        metrics={name: tuple(_short(own.get(name)) for own in metrics) for name in names},
        key=tuple(trial.key for trial in trials),
        spec=tuple(trial.candidate.short_form for trial in trials),
        failure=tuple(_failure(trial) for trial in trials),
    )


def _failure(trial: Trial) -> str:
    return "" if trial.failure is None else f"{trial.failure.kind}: {trial.failure.message}"


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_NUM_DIGITS}g}")
