"""TensorBoard: curves of a run, and for each trained trial a page and a row in the table of hyper-parameters.

All of it is made from the journal. Every start writes the file of the curves again, byte for byte as it was, so that a
TensorBoard that is open reads on; the file of a trial is written once, whole.
"""

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from foundation import open_folder, opener_in, short_path, write_whole
from nas.options.invocation import python_command
from nas.tracking.base import TrackedRun
from nas.tracking.results import Result

FOLDER = "tensorboard"
MAX_TRIALS_WITH_PAGES = 500
"""Most trials of a run whose trials have pages without being asked for: TensorBoard is slow with thousands."""
_NAME = "events.out.tfevents.0.nas"


@dataclass(frozen=True, slots=True)
class TensorBoard:
    """Writes event files into the run folder.

    Attributes:
        per_trial: whether each trained trial has a page of its own and a row in the table of hyper-parameters; None
            for pages where the run is to have no more trials than `MAX_TRIALS_WITH_PAGES`.
    """

    per_trial: bool | None = None

    def open(self, run: TrackedRun) -> "TensorBoardLog":
        """Begin the file of the curves again from its first byte; see `Tracker.open`.

        Pages that are there stay when a run is extended, and those that were left out are written by the next start
        that is to write them.
        """
        is_short = run.num_trials <= MAX_TRIALS_WITH_PAGES
        if self.per_trial is None and not is_short:
            run.say(
                f"TensorBoard gets no more pages of single trials, as the run is to have {run.num_trials:,}; "
                "tracking.tensorboard.per_trial=true writes them all, now or at a later start"
            )
        return TensorBoardLog(run, per_trial=is_short if self.per_trial is None else self.per_trial)

    def hint(self, run: Path) -> str:
        """Return the command that shows a run."""
        return f"{python_command()} -m tensorboard.main --logdir {shlex.quote(short_path(run / FOLDER))}"


class TensorBoardLog:
    """The event files of one run."""

    def __init__(self, run: TrackedRun, *, per_trial: bool) -> None:
        self._run = run.folder
        self._per_trial = per_trial
        head = BytesIO()
        _write_version(head, run.created_at)

        # No link in the run folder is followed, since anything may have taken a name there.
        with (
            open_folder(self._run / FOLDER, inside=self._run) as top,
            open_folder(self._run / FOLDER / run.kind, inside=self._run) as curves,
        ):
            if not _begins_with(curves, head.getvalue()):
                # Pages of a run that stood in this folder before.
                shutil.rmtree("trials", ignore_errors=True, dir_fd=top)
            self._file = open(_NAME, "wb", opener=opener_in(curves))  # noqa: SIM115  # closed by `close`
        self._file.write(head.getvalue())

    def add(self, result: Result) -> None:
        """Show a result; see `TrackerLog.add`."""
        _write_scalars(self._file, result.figures, result.step, result.time)
        self._file.flush()

        trial = result.trained
        if self._per_trial and trial is not None:
            path = self._run / FOLDER / "trials" / f"{trial.number:05d}" / _NAME
            if not path.exists():
                write_whole(path, _page_file(result), inside=self._run)

    def close(self) -> None:
        """Close the file of the curves."""
        self._file.close()


def _begins_with(folder: int, head: bytes) -> bool:
    """Return whether the event file in an open folder is there and begins so."""
    try:
        with open(_NAME, "rb", opener=opener_in(folder)) as file:
            return file.read(len(head)) == head
    except FileNotFoundError:
        return False


def _page_file(result: Result) -> bytes:
    """Return the event file of a trial: its architecture, how its loss fell, and what was found."""
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    page = result.page()
    file = BytesIO()
    _write_version(file, page.begun_at)
    start = hparams_pb(dict(page.hyperparameters), trial_id=page.name, start_time_secs=page.begun_at)
    _write(file, page.begun_at, summary=start)

    # The evaluation begins with its training.
    percent_s = 0.0 if result.trial is None else result.trial.seconds.get("train", 0.0) / result.trial.share_done / 100
    for percent, loss in page.losses:
        _write_scalars(file, {"loss_curve": loss}, percent, page.begun_at + percent * percent_s)
    _write_scalars(file, page.figures, result.number, page.ended_at)

    status = api_pb2.STATUS_SUCCESS if page.is_completed else api_pb2.STATUS_FAILURE
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=page.ended_at)
    _write(file, page.ended_at, summary=_session_end(plugin_data_pb2.HParamsPluginData(session_end_info=end)))
    return file.getvalue()


def _session_end(data: Any) -> Any:  # noqa: ANN401  # TensorBoard has no types
    """Return the summary that ends a session; what `hparams.summary` offers for it needs TensorFlow."""
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
