"""MLflow: a run for a search or a training, and below that of a search one for each trained trial."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nas.options.configuration import option_texts
from nas.options.invocation import python_command
from nas.tracking.base import TrackedRun, check_installed
from nas.tracking.results import Result

_MAX_AT_ONCE: Final = 100
"""Most parameters that MLflow takes in one call."""
_MAX_CHARS: Final = 500
"""Longest parameter that the oldest servers take."""
_RUN_TAG: Final = "nas.run"
_TRIAL_TAG: Final = "nas.trial"
_PARENT_TAG: Final = "mlflow.parentRunId"


@dataclass(frozen=True, slots=True)
class MLflow:
    """Writes to an MLflow server or store.

    Attributes:
        uri: address of the server or store; None for MLFLOW_TRACKING_URI, or else for what MLflow does without.
        experiment: name of the experiment that all runs are put into.
        per_trial: whether each trained trial is a run of its own, below that of the search.

    Raises:
        ValueError: the package is not installed.
    """

    uri: str | None = None
    experiment: str = "spinenet-search"
    per_trial: bool = True

    def __post_init__(self) -> None:
        check_installed("mlflow")

    def open(self, run: TrackedRun) -> "MLflowLog":
        """Begin the run, or resume it; see `Tracker.open`."""
        return MLflowLog(self, run)

    def hint(self, run: Path) -> str:
        """Return the address of the server, or the command that shows a local store."""
        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        if uri.startswith("http"):
            return uri
        store = f" --backend-store-uri {shlex.quote(uri)}" if uri else ""
        return f"{python_command()} -m mlflow ui{store}"


class MLflowLog:
    """The run of one search or training.

    MLflow itself is asked how far it got: a figure of the run says how many results it has, and each trial that
    has ended is known by its tag.
    """

    def __init__(self, settings: MLflow, run: TrackedRun) -> None:
        from mlflow import MlflowClient

        # It would print two lines for each trial.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        self._client: Any = MlflowClient(settings.uri)
        self._per_trial = settings.per_trial
        self._num_results = f"{run.kind}/results"

        found = self._client.get_experiment_by_name(settings.experiment)
        self._experiment = found.experiment_id if found else self._client.create_experiment(settings.experiment)

        known = list(self._runs(f"tags.`{_RUN_TAG}` = '{run.identity}'"))
        if known:
            self._id = known[0].info.run_id
            self._num_known = int(known[0].data.metrics.get(self._num_results, 0))
            self._client.update_run(self._id, status="RUNNING")
        else:
            self._id = self._begin({_RUN_TAG: run.identity}, run.folder.name, run.created_at)
            self._num_known = 0
            self._set_parameters(self._id, option_texts(run.config))

        self._known_trials = self._find_trials()

    def add(self, result: Result) -> None:
        """Show a result; see `TrackerLog.add`."""
        trial = result.trained
        if self._per_trial and trial is not None and str(trial.number) not in self._known_trials:
            self._add_trial(str(trial.number), result)

        if result.number > self._num_known:
            figures = {**result.figures, self._num_results: float(result.number)}
            self._client.log_batch(self._id, metrics=_metrics(figures, result.step, result.time))

    def close(self) -> None:
        """Mark the run as finished, until it is resumed."""
        self._client.set_terminated(self._id, "FINISHED")

    def _find_trials(self) -> set[str]:
        """Return the numbers of the trials that are there, and delete those that a kill left half written."""
        numbers = set()
        for trial in list(self._runs(f"tags.`{_PARENT_TAG}` = '{self._id}'")):
            if trial.info.status == "RUNNING":
                self._client.delete_run(trial.info.run_id)
            else:
                numbers.add(trial.data.tags[_TRIAL_TAG])
        return numbers

    def _add_trial(self, number: str, result: Result) -> None:
        page = result.page()
        child = self._begin({_PARENT_TAG: self._id, _TRIAL_TAG: number}, page.name, page.begun_at)
        self._set_parameters(child, page.hyperparameters)

        metrics = _metrics(page.figures, result.number, page.ended_at)
        for percent, loss in page.losses:
            metrics += _metrics({"loss_curve": loss}, percent, page.ended_at)
        self._client.log_batch(child, metrics=metrics)

        # Last: a trial that is still running when the next start looks was cut short, see `_find_trials`.
        status = "FINISHED" if page.is_completed else "FAILED"
        self._client.set_terminated(child, status, _ms(page.ended_at))

    def _begin(self, tags: Mapping[str, str], name: str, time: float) -> str:
        run = self._client.create_run(self._experiment, start_time=_ms(time), tags=dict(tags), run_name=name)
        return str(run.info.run_id)

    def _set_parameters(self, run_id: str, values: Mapping[str, str | float]) -> None:
        from mlflow.entities import Param

        params = [Param(_name(name), str(value)[:_MAX_CHARS]) for name, value in values.items()]
        for start in range(0, len(params), _MAX_AT_ONCE):
            self._client.log_batch(run_id, params=params[start : start + _MAX_AT_ONCE])

    def _runs(self, condition: str) -> Iterator[Any]:
        """Yield all runs of the experiment that meet a condition; the server gives them in pages."""
        token = None
        while True:
            page = self._client.search_runs([self._experiment], condition, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _metrics(figures: Mapping[str, float], step: int, time: float) -> list[Any]:
    from mlflow.entities import Metric

    return [Metric(_name(name), value, _ms(time), step) for name, value in figures.items()]


def _name(name: str) -> str:
    """Return a name with the characters that MLflow takes."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def _ms(time: float) -> int:
    return round(1000 * time)
