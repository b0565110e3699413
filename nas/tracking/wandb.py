"""Weights & Biases: a run for the search, and in its group one for each trained trial."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nas.command_line import python_command
from nas.configuration import options_of
from nas.tracking.base import TrackedRun, needs
from nas.tracking.results import (
    Result,
    hyperparameters,
    is_trained,
    loss_by_percent,
    search_figures,
    trial_figures,
)
from search_space.paths import write_whole

_HANDED_OVER = "wandb-handed-over"


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
        needs("wandb")

    def open(self, run: TrackedRun) -> "WeightsAndBiasesLog":
        """Begin the run of the search, or go on with it; see `Tracker.open`."""
        return WeightsAndBiasesLog(self, run)

    def hint(self, run: Path) -> str:
        """Return the command that sends what was written offline."""
        return f"{python_command()} -m wandb sync wandb/offline-run-*" if self.mode == "offline" else ""


class WeightsAndBiasesLog:
    """The run of one search.

    How many results were handed over stands in a file of its own: a run that is offline cannot be asked.
    """

    def __init__(self, settings: WeightsAndBiases, run: TrackedRun) -> None:
        import wandb

        if settings.mode == "online" and wandb.api.api_key is None:
            # It would ask for the key in the middle of the search.
            raise ValueError("nobody is logged in; run wandb login, or set tracking.wandb.mode=offline")
        self._settings = settings
        self._run = run
        # With the time it is another run than one that stood in this folder before.
        self._group = f"{run.folder.name}-{run.created_at:.0f}"
        self._marker = run.folder / _HANDED_OVER
        group, _, number = self._marker.read_text().partition("\n") if self._marker.is_file() else ("", "", "")
        self._num_handed_over = int(number) if group == self._group and number.isdecimal() else 0
        self._search = self._begin("search", run.folder.name, dict(options_of(run.config)))
        self._search.define_metric("*", step_metric="result")

    def add(self, result: Result) -> None:
        """Show a result; see `TrackerLog.add`."""
        if result.number <= self._num_handed_over:
            return
        trial = result.trial
        if self._settings.per_trial and is_trained(trial):
            one = self._begin("trial", f"trial {trial.number}", hyperparameters(trial))
            one.define_metric("loss_curve", step_metric="percent")
            for percent, loss in loss_by_percent(trial):
                one.log({"loss_curve": loss, "percent": percent})
            one.log(trial_figures(trial))
            one.finish(exit_code=int(trial.status == "failed"))
        self._search.log(search_figures(result) | {"result": result.number})
        write_whole(self._marker, f"{self._group}\n{result.number}".encode())

    def close(self) -> None:
        """Wait until all is written or sent."""
        self._search.finish()

    def _begin(self, kind: str, name: str, config: dict[str, Any]) -> Any:  # noqa: ANN401  # the package's own run
        import wandb

        return wandb.init(
            project=self._settings.project,
            entity=self._settings.entity,
            mode=self._settings.mode,
            group=self._group,
            job_type=kind,
            name=name,
            id=f"{self._group}-{name}".replace(" ", "-"),
            config=config,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
