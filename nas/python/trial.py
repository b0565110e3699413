"""A trial as Python and notebooks see it: plain values and a picture."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from nas.drawing import architecture_svg
from nas.python.markup import picture
from nas.record.architecture import trial_name
from nas.record.parts import recorded_part
from nas.record.record import Record
from nas.record.trial import Status, Trial
from nas.terminal.tables import describe
from search_space import ArchSpec, ModelScale

_MAX_SHOWN = 100


@dataclass(frozen=True, slots=True, repr=False)
class RunTrial:
    """One architecture that a run proposed, and what became known of it.

    Attributes:
        name: as in tables and files, `quickstart-9`.
        number: counted from 0, in the order of proposing.
        status: `running`, `completed`, `stopped` early, `reused` from an earlier trial, `rejected` by a limit, or
            `failed`.
        reward: what the search was told; None where there is none.
        metrics: the proxy task's metrics, as `ap` and `macs`.
        seconds: how long it took; None where nothing was trained.
        spec: the topology.
        scale: how big its networks are: its own scale where the space searches scales, else that of the run; None where
            the run has none on record.
        key: canonical key of what is built; equal keys are the same network.
        rung: number of times that it was promoted to more training.
        outcome: the outcome in a few words.
    """

    name: str
    number: int
    status: Status
    reward: float | None
    metrics: Mapping[str, float]
    seconds: float | None
    spec: ArchSpec
    scale: ModelScale | None
    key: str
    rung: int
    outcome: str

    def __repr__(self) -> str:
        """Return a line."""
        return textwrap.shorten(f"<trial {self.name}: {self.outcome}", _MAX_SHOWN, placeholder=" ...") + ">"

    def _repr_html_(self) -> str:
        """Return what Jupyter shows."""
        return f"<p>{escape(self.outcome)}</p>{picture(architecture_svg(self.spec, self.name))}"


def trials_of(record: Record, folder: Path) -> tuple[RunTrial, ...]:
    """Return all trials of a run, in the order of proposing."""
    config = record.created.config
    scale = recorded_part(ModelScale, config, "scale") if "scale" in config else None
    return tuple(_view(trial, folder, scale) for trial in record.trials.values())


def figures_of(trial: RunTrial) -> dict[str, Any]:
    """Return a row of a table of all trials; a metric under the name of another column comes as `metrics.NAME`."""
    own = {
        "status": trial.status,
        "reward": trial.reward,
        "rung": trial.rung,
        "seconds": trial.seconds,
        "key": trial.key,
        "outcome": trial.outcome,
    }
    metrics = {f"metrics.{name}" if name in own else name: value for name, value in trial.metrics.items()}
    return {"trial": trial.number, **own, **metrics}


def _view(trial: Trial, folder: Path, scale_of_run: ModelScale | None) -> RunTrial:
    return RunTrial(
        name=trial_name(folder, trial),
        number=trial.number,
        status=trial.status,
        reward=trial.reward,
        metrics=trial.metrics,
        seconds=sum(trial.seconds.values()) if trial.seconds else None,
        spec=trial.spec,
        scale=trial.scale or scale_of_run,
        key=trial.key,
        rung=trial.rung,
        outcome=describe(trial).replace("  ", ", ") or trial.status,
    )
