"""The networks of a search that were trained in full, in a report: what the search promised, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from foundation import absolute_path
from nas.reporting.markup import note, section, table_of
from nas.reporting.runs import ReportedRun
from nas.terminal.figures import duration

_TEXT = "Trained by nas.train with a schedule of their own, so their figures do not compare with rewards of the search."


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A full training as a report shows it.

    Attributes:
        name: of its folder.
        network: what was trained: a published name, a spec file, a run or a model.
        trial: number of the trial where `network` is a run; None for the run's best.
        figure: name of the highest figure and its value; None before the first measurement.
        num_epochs: epochs that are done.
        seconds: time that they took, without pauses.
        is_finished: whether the training came to its end.
    """

    name: str
    network: str
    trial: int | None
    figure: tuple[str, float] | None
    num_epochs: float
    seconds: float
    is_finished: bool


def trained_section(trained: Sequence[TrainedNetwork], runs: Sequence[ReportedRun]) -> str:
    """Return a table of full trainings, beside the rewards in those runs that they were found by; empty for none."""
    if not trained:
        return ""
    heads = ("training", "network", "reward in the search", "highest figure", "epochs", "time")
    table = table_of(heads, [_row(one, runs) for one in trained], numbers_from=2)
    return section("Trained in full", note(_TEXT), f'<div class="scroll">{table}</div>')


def _row(one: TrainedNetwork, runs: Sequence[ReportedRun]) -> str:
    network = one.network if one.trial is None else f"trial {one.trial} of {one.network}"
    reward = _reward(one, runs)
    numbers = (
        "" if reward is None else f"{reward:.4f}",
        "" if one.figure is None else f"{one.figure[0]} {one.figure[1]:.4f}",
        f"{one.num_epochs:.4g}{'' if one.is_finished else ', not ended'}",
        duration(one.seconds),
    )
    cells = "".join(f'<td class="number">{escape(text)}</td>' for text in numbers)
    return f"<tr><td>{escape(one.name)}</td><td>{escape(network)}</td>{cells}</tr>"


def _reward(one: TrainedNetwork, runs: Sequence[ReportedRun]) -> float | None:
    """Return the reward that a network had in the run which it was found by; None where that is not shown."""
    if one.trial is None:
        return None
    folder = absolute_path(Path(one.network))
    trials = (run.record.trials.get(one.trial) for run in runs if run.folder == folder)
    return next((trial.reward for trial in trials if trial is not None), None)
