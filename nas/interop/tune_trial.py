"""A trial of Ray Tune: the function that evaluates one architecture in it, and what it reports there and back."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from ray import tune

from foundation import InputError
from nas.engine.job import Job, Outcome
from nas.engine.reward import Reward
from nas.engine.told import told_of
from nas.executors.base import run_job
from nas.executors.threads import wait_without_long_spinning
from nas.record.journal import read_record
from nas.record.trial import Failure
from proxy_tasks import Evaluation, Numerics, ProxyTask

Trainable: TypeAlias = Callable[[dict[str, Any]], None]

JOB = "job"
"""Name of the `Job` in the configuration of a trial."""


class FailedTrialError(RuntimeError):
    """The evaluation failed: Tune shows the trial as one with an error."""


def trainable_of(task: ProxyTask, reward: Reward, run: Path) -> Trainable:
    """Return a function trainable of Tune that evaluates the job in its configuration.

    It reports once, at the end: every metric of the task by its name, `reward`, and what else the record keeps. A
    failure is reported too, with metrics that are not numbers, and then raised.

    Args:
        task: what evaluates; small and picklable, as every task.
        reward: of the search.
        run: the run folder. What is on record there is reported and not trained again, where the worker sees it.
    """
    is_loaded = False

    # Tune calls its trials by the name of this function.
    def architecture(config: dict[str, Any]) -> None:
        nonlocal is_loaded
        job: Job = config[JOB]
        outcome = _on_record(run, job.trial)
        if outcome is None:
            # Where actors are used again, once a process. Torch hears the first line only before it is loaded.
            wait_without_long_spinning()
            if not is_loaded:
                task.load()
                is_loaded = True
            outcome = run_job(task, job)

        tune.report(_figures(outcome, task, reward))
        if isinstance(outcome.result, Failure):
            raise FailedTrialError(f"{outcome.result.message}\n{outcome.result.traceback or ''}".rstrip())

    return architecture


def outcome_of(trial: int, figures: Mapping[str, Any], task: ProxyTask, reward: Reward) -> Outcome:
    """Return the outcome of a trial by what was last reported of it, nested names with slashes as Tune has them.

    A trainable of somebody's own reports the metrics that the reward names; one that is missing is a failure.
    """
    below = {part: _below(part, figures) for part in ("failure", "numerics", "seconds")}
    numerics = Numerics(**below["numerics"]) if below["numerics"] else None
    if below["failure"]:
        return Outcome(trial, Failure(**below["failure"]), numerics)

    metrics = {name: float(figures[name]) for name in task.metric_names if name in figures}
    stopped_at = figures.get("stopped_at")
    missing = [name for name in reward.metrics if name not in metrics]
    if missing and stopped_at is None:
        return Outcome(trial, Failure("error", f"the trainable reported no {', '.join(missing)}"), numerics)

    evaluation = Evaluation(
        metrics,
        seconds=below["seconds"],
        loss_curve=tuple(figures.get("loss_curve", ())),
        remarks=tuple(figures.get("remarks", ())),
        stopped_at=stopped_at,
    )
    return Outcome(trial, evaluation, numerics)


def _on_record(run: Path, number: int) -> Outcome | None:
    """Return the outcome of a trial that has ended: Tune runs those again that ended after it last saved its state."""
    try:
        trial = read_record(run).trials.get(number)
    except InputError:
        # On another machine the folder need not be there.
        return None
    if trial is None or trial.status == "running":
        return None
    if trial.failure is not None:
        return Outcome(number, trial.failure, trial.numerics)
    evaluation = Evaluation(
        trial.metrics, trial.seconds, trial.loss_curve, trial.remarks or (), stopped_at=trial.stopped_at
    )
    return Outcome(number, evaluation, trial.numerics)


def _figures(outcome: Outcome, task: ProxyTask, reward: Reward) -> dict[str, Any]:
    """Return what is reported of an outcome, by name, as plain values."""
    # Tune wants every metric that it was told to look at in every report.
    figures: dict[str, Any] = dict.fromkeys((*task.metric_names, "reward"), math.nan)
    if outcome.numerics is not None:
        figures["numerics"] = asdict(outcome.numerics)

    result = outcome.result
    if isinstance(result, Failure):
        return figures | {"failure": asdict(result)}

    told = told_of(outcome, reward)
    figures |= {**result.metrics, "seconds": dict(result.seconds), "loss_curve": list(result.loss_curve)}
    figures |= {"remarks": list(result.remarks)} if result.remarks else {}
    figures |= {"stopped_at": result.stopped_at} if result.stopped_at is not None else {}
    return figures if told.reward is None else figures | {"reward": told.reward}


def _below(part: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures below a name, by the rest of theirs."""
    return {name.removeprefix(f"{part}/"): value for name, value in figures.items() if name.startswith(f"{part}/")}
