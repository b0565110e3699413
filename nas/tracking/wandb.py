"""Weights & Biases: a run for a search or a training, and in the group of a search one for each trained trial."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from foundation import write_whole
from nas.options.configuration import options_of
from nas.options.invocation import python_command
from nas.tracking.base import TrackedRun, check_installed
from nas.tracking.results import Result, TrialPage

_HANDED_OVER = "wandb-handed-over"
_INIT_TIMEOUT_S = 30
"""Longest time that a server may take to answer."""


@dataclass(frozen=True, slots=True)
class WeightsAndBiases:
    """Writes to Weights & Biases.

    Attributes:
        project: name of the project.
        entity: user or team; None for the default one of the user.
        mode: `online`, or `offline` for files below WANDB_DIR or the current folder, which `wandb sync` sends later.
        per_trial: whether each trained trial is a run of its own, in the group of the search.

    Raises:
        ValueError: the package is not installed.
    """

    project: str = "spinenet-search"
    entity: str | None = None
    mode: Literal["online", "offline"] = "online"
    per_trial: bool = True

    def __post_init__(self) -> None:
        check_installed("wandb")

    def open(self, run: TrackedRun) -> "WeightsAndBiasesLog":
        """Begin the run, or resume it; see `Tracker.open`."""
        return WeightsAndBiasesLog(self, run)

    def hint(self, run: Path) -> str:
        """Return the command that sends what was written offline."""
        if self.mode == "online":
            return ""
        folder = Path(os.environ.get("WANDB_DIR", "."), "wandb", "offline-run-*")
        return f"{python_command()} -m wandb sync {folder}"


class WeightsAndBiasesLog:
    """The run of one search or training.

    Online the run is asked how far it got. Offline it is written whole by every start, as the last one
    that is sent replaces those before. A file in the run folder says up to which result trials have their runs, and at
    which destination.
    """

    def __init__(self, settings: WeightsAndBiases, run: TrackedRun) -> None:
        import wandb

        os.environ.setdefault("WANDB_SILENT", "true")
        # It would ask for the key in the middle of the work.
        if settings.mode == "online" and not wandb.login(prompt=False, verify=False):
            raise ValueError("nobody is logged in; run wandb login, or set tracking.wandb.mode=offline")

        self._settings = settings
        self._group = re.sub(r"[^\w.-]", "-", f"{run.folder.name}-{run.identity}")
        self._marker = run.folder / _HANDED_OVER
        self._destination = f"{run.identity} {settings.mode} {settings.entity} {settings.project}"
        self._num_trials_known = self._read_marker()

        self._axis = "result" if run.kind == "search" else "step"
        self._whole = self._begin(run.kind, run.folder.name, dict(options_of(run.config)))
        self._whole.define_metric("*", step_metric=self._axis)
        # Offline the package cannot say how far it got, so everything is written again.
        self._num_known = self._whole.step if settings.mode == "online" else 0

    def add(self, result: Result) -> None:
        """Show a result; see `TrackerLog.add`."""
        if self._settings.per_trial and result.number > self._num_trials_known:
            if result.trained is not None:
                self._add_trial(result.page())

            # After the trial: a kill in between hands it over again, under the same id.
            write_whole(self._marker, f"{self._destination}\n{result.number}".encode())

        if result.number > self._num_known:
            self._whole.log({**result.figures, self._axis: result.step})

    def close(self) -> None:
        """Wait until all is written or sent."""
        self._whole.finish()

    def _read_marker(self) -> int:
        """Return the number of the last result whose trial was handed over; 0 where that was to another destination."""
        if not self._marker.is_file():
            return 0
        destination, _, number = self._marker.read_text().partition("\n")
        return int(number) if destination == self._destination and number.isdecimal() else 0

    def _add_trial(self, page: TrialPage) -> None:
        trial = self._begin("trial", page.name, dict(page.hyperparameters))
        trial.define_metric("loss_curve", step_metric="percent")
        for percent, loss in page.losses:
            trial.log({"loss_curve": loss, "percent": percent})
        trial.log(dict(page.figures))
        trial.finish(exit_code=0 if page.is_completed else 1)

    def _begin(self, kind: str, name: str, config: dict[str, Any]) -> Any:  # noqa: ANN401  # the package's own run
        import wandb

        settings = wandb.Settings(silent=True, console="off", x_disable_stats=True, init_timeout=_INIT_TIMEOUT_S)
        return wandb.init(
            project=self._settings.project,
            entity=self._settings.entity,
            mode=self._settings.mode,
            group=self._group,
            job_type=kind,
            name=name,
            id=self._group if kind != "trial" else f"{self._group}-{name.replace(' ', '-')}",
            config=config,
            resume="allow",
            reinit="create_new",
            settings=settings,
        )
