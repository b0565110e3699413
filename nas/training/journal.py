"""The journal of a training: each start, how it stands now and then, and each measurement, a line each."""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from foundation import InputError, make_folder, sync_folder
from nas.record.journal import FILE_NAME as SEARCH_JOURNAL
from nas.record.journal import refuse_links
from nas.record.lock import RunLock

FILE_NAME = "training.jsonl"
MEASURED = ("progress", "evaluated")
"""Events that say how a training stands at a step."""
_BEGINNING = b'{"event": "'
"""Beginning of every line."""


def check_folder(folder: Path) -> None:
    """Check, without a change to it, that a folder is new or a training's own.

    Raises:
        InputError: it holds a search, a link out of it, or a journal with a damaged line.
    """
    if (folder / SEARCH_JOURNAL).exists():
        raise InputError(f"{folder} holds a search: give a training a folder of its own (run=...)")
    refuse_links(folder)
    if (folder / FILE_NAME).exists():
        read_events(folder)


class TrainingJournal:
    """A training's journal, open for appending by this process alone; every line is on disk when `append` returns.

    Args:
        folder: of the training; made if need be.

    Raises:
        InputError: another process has it, it cannot be written, or as `check_folder`.
    """

    def __init__(self, folder: Path) -> None:
        check_folder(folder)
        try:
            make_folder(folder)
            self._lock = RunLock(folder)
            self._descriptor = os.open(folder / FILE_NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            sync_folder(folder)
        except OSError as error:
            raise InputError(f"cannot write the run folder {folder}: {error.strerror}") from None
        self._path = folder / FILE_NAME
        self._late: list[bytes] = []
        try:
            self._lock.cover(self._descriptor)
            self._cut_torn_line()
        except BaseException:
            self.close()
            raise

    def append(self, event: str, **values: Any) -> None:  # noqa: ANN401  # any plain value
        """Write one event to disk.

        Raises:
            InputError: the disk is full or gone; what stands before is intact.
        """
        self._late.append(_line(event, values))
        lines = b"".join(self._late)
        end = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, lines) < len(lines):
                raise OSError(28, "No space left on device")
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, end)
            raise InputError(f"cannot write {self._path}: {error.strerror}; nothing before it is lost") from None
        self._late.clear()

    def append_later(self, event: str, **values: Any) -> None:  # noqa: ANN401  # any plain value
        """Write one event to disk, or with the next one where the disk is full."""
        with suppress(InputError):
            self.append(event, **values)

    def close(self) -> None:
        """Let other processes open the journal."""
        os.close(self._descriptor)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _cut_torn_line(self) -> None:
        """Remove a last line that a kill cut short; one that lacks the line break alone gets it with the next event."""
        events = _without_torn_line(self._path.read_bytes())
        os.ftruncate(self._descriptor, len(events))
        if events and not events.endswith(b"\n"):
            self._late.append(b"\n")


def _line(event: str, values: Mapping[str, Any]) -> bytes:
    return json.dumps({"event": event, "time": time.time(), **values}).encode() + b"\n"


def _without_torn_line(content: bytes) -> bytes:
    """Return what a journal's file holds without a last line that a kill cut short."""
    whole = content[: content.rfind(b"\n") + 1]
    last = content[len(whole) :]

    # A single line may be anything; only one that begins as an event was to become one.
    if not whole and not (last.startswith(_BEGINNING) or _BEGINNING.startswith(last)):
        return content
    try:
        json.loads(last)
    except ValueError:
        return whole
    return content


def _is_event(value: Any) -> bool:  # noqa: ANN401  # any JSON
    """Return whether a line is an event, and holds the figures that are read of such an event."""
    if not isinstance(value, dict) or not {"event", "time"} <= value.keys():
        return False
    if value["event"] not in MEASURED:
        return True

    if not isinstance(value.get("step"), int) or "epoch" not in value:
        return False
    if value["event"] == "progress":
        return {"loss", "images_per_s"} <= value.keys()
    return isinstance(value.get("metrics"), dict) and metric_of(value) in value["metrics"]


def metric_of(event: Mapping[str, Any]) -> str:
    """Return the name of the figure that a measurement is of; those that do not say are of AP."""
    name: str = event.get("metric", "ap")
    return name


def read_events(folder: Path) -> list[Mapping[str, Any]]:
    """Return the events of a training, without a last line that was cut short; of each step the first record.

    A training that was killed repeats the steps since its last checkpoint: it measures again what it has measured
    there, with the same result, and what it says of steps that are on record adds nothing.

    Raises:
        InputError: there is no such journal, or a line is damaged.
    """
    path = folder / FILE_NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"no training at {folder}: {FILE_NAME}: {error.strerror}") from None

    events: list[Mapping[str, Any]] = []
    last_steps: dict[str, int] = {}
    for number, line in enumerate(_without_torn_line(content).splitlines(), start=1):
        event: Any = None
        with suppress(ValueError):
            event = json.loads(line)
        if not _is_event(event):
            raise InputError(
                f"{path}, line {number}: is no event of a training; put back what it held, or move the file away: the "
                "training then resumes from its last checkpoint, with a new record"
            )

        if event["event"] in MEASURED:
            if event["step"] <= last_steps.get(event["event"], -1):
                continue
            last_steps[event["event"]] = event["step"]
        events.append(event)
    return events
