"""TensorBoard: curves of the search, and for each trained trial a page and a row in the table of hyper-parameters.

All of it is made from the journal. The file of the search is written anew by every start, byte for byte as it was, so
that a TensorBoard that is open reads on; the file of a trial is written once, whole.
"""

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from foundation import short_path, write_whole
from nas.options.command_line import python_command
from nas.tracking.base import TrackedRun
from nas.tracking.results import (
    Result,
    hyperparameters,
    is_trained,
    loss_by_percent,
    search_figures,
    trial_figures,
)

FOLDER = "tensorboard"
_NAME = "events.out.tfevents.0.nas"


@dataclass(frozen=True, slots=True)
class TensorBoard:
    """Writes event files into the run folder.

    Attributes:
        per_trial: whether each trained trial has a page of its own and a row in the table of hyper-parameters.
    """

    per_trial: bool = True

    def open(self, run: TrackedRun) -> "TensorBoardLog":
        """Begin the file of the search anew; see `Tracker.open`."""
        return TensorBoardLog(run, per_trial=self.per_trial)

    def hint(self, run: Path) -> str:
        """Return the command that shows a run."""
        return f"{python_command()} -m tensorboard.main --logdir {shlex.quote(short_path(run / FOLDER))}"


class TensorBoardLog:
    """The event files of one run."""

    def __init__(self, run: TrackedRun, *, per_trial: bool) -> None:
        self._folder = run.folder / FOLDER
        self._per_trial = per_trial
        path = self._folder / "search" / _NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        begin = BytesIO()
        _write_version(begin, run.created_at)
        if not _begins_with(path, begin.getvalue()):
            # Pages of a run that stood in this folder before.
            shutil.rmtree(self._folder / "trials", ignore_errors=True)
        self._file = path.open("wb")
        self._file.write(begin.getvalue())

    def add(self, result: Result) -> None:
        """Show a result; see `TrackerLog.add`."""
        _write_scalars(self._file, search_figures(result), result.number, result.time)
        self._file.flush()
        if self._per_trial and is_trained(result.trial):
            path = self._folder / "trials" / f"{result.trial.number:05d}" / _NAME
            if not path.exists():
                write_whole(path, _page(result))

    def close(self) -> None:
        """Close the file of the search."""
        self._file.close()


def _begins_with(path: Path, begin: bytes) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(begin)) == begin


def _page(result: Result) -> bytes:
    """Return the event file of a trial: what it is, how its loss fell, what came of it."""
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    trial, ended = result.trial, result.time
    begun = ended - sum(trial.seconds.values())
    file = BytesIO()
    _write_version(file, begun)
    begin = hparams_pb(hyperparameters(trial), trial_id=f"trial {trial.number}", start_time_secs=begun)
    _write(file, begun, summary=begin)
    for percent, loss in loss_by_percent(trial):
        at = begun + percent / 100 * trial.seconds.get("train", 0.0)
        _write_scalars(file, {"loss_curve": loss}, percent, at)
    _write_scalars(file, trial_figures(trial), result.number, ended)
    status = api_pb2.STATUS_SUCCESS if trial.status == "completed" else api_pb2.STATUS_FAILURE
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=ended)
    _write(file, ended, summary=_session_end(plugin_data_pb2.HParamsPluginData(session_end_info=end)))
    return file.getvalue()


def _session_end(data: Any) -> Any:  # noqa: ANN401  # TensorBoard has no types
    """Return the summary that ends a session: what `hparams.summary` offers needs TensorFlow."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])


def _write_version(file: BinaryIO, time: float) -> None:
    _write(file, time, file_version="brain.Event:2")


def _write_scalars(file: BinaryIO, figures: Mapping[str, float], step: int, time: float) -> None:
    from tensorboard.compat.proto.summary_pb2 import Summary

    values = [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
    _write(file, time, step=step, summary=Summary(value=values))


def _write(file: BinaryIO, time: float, **fields: Any) -> None:  # noqa: ANN401  # of an event, as TensorBoard has it
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    RecordWriter(file).write(Event(wall_time=time, **fields).SerializeToString(deterministic=True))
