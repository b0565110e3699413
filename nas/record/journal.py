"""The journal: a run's events in one file, which only ever grows."""

import gc
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError

from foundation import InputError, first_error, sync_folder
from nas.record.below import runs_below
from nas.record.events import ANY_EVENT, Created, Event
from nas.record.lock import RunLock
from nas.record.record import Record
from search_space import Decision, Decisions

FILE_NAME = "journal.jsonl"
_TAIL_BYTES = 65536
"""Bytes read at a time where the last line break is looked for."""


class Journal:
    """A run folder's journal, open for appending by this process alone.

    Every event is on disk when `append` returns. A last line that a kill cut short is removed on opening; a journal
    without trials is begun again.

    Attributes:
        folder: the run folder.
        record: what the journal says, every appended event included.

    Args:
        folder: the run folder; made if need be.
        config: the run's configuration, for the first line of a new journal.
        begin_with: decisions of its first trials; a journal with trials keeps those that it has.
        decisions: of the space, for the first line of a new journal.

    Raises:
        InputError: another process has the journal open, it cannot be written, or it is damaged.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        begin_with: Sequence[Decisions] = (),
        decisions: Sequence[Decision] = (),
    ) -> None:
        path = folder / FILE_NAME
        refuse_links(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = RunLock(folder)
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise InputError(f"cannot write the run folder {folder}: {error.strerror}") from None

        self.folder = folder
        self._path = path

        try:
            self.record = self._opened_record(config, begin_with, decisions)
        except BaseException:
            self.close()
            raise

    def append(self, event: Event) -> None:
        """Write an event to disk, then take it into `record`.

        Raises:
            InputError: the disk is full or gone; the journal before this event is intact.
        """
        self._write(event)
        self.record.add(event)

    def close(self) -> None:
        """Let other processes open the journal; nothing can be appended afterwards."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _opened_record(
        self, config: Mapping[str, Any], begin_with: Sequence[Decisions], decisions: Sequence[Decision]
    ) -> Record:
        """Return what the journal holds, a torn last line removed; write its first line where it has no trials."""
        _cut_torn_line(self._descriptor)
        if os.fstat(self._descriptor).st_size:
            record = read_record(self.folder)
            if record.trials:
                return record

        # A run that has asked for nothing yet holds nothing to keep: it may become another one.
        os.ftruncate(self._descriptor, 0)
        created = Created(
            config=dict(config),
            versions=package_versions(),
            begin_with=tuple(begin_with),
            decisions=tuple(decisions),
        )
        self._write(created)
        sync_folder(self.folder)
        return Record(created)

    def _write(self, event: Created | Event) -> None:
        line = event.model_dump_json(exclude_none=True).encode() + b"\n"
        end = os.fstat(self._descriptor).st_size
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, end)
            raise InputError(f"cannot write {self._path}: {error.strerror}; nothing before it is lost") from None


def refuse_links(folder: Path) -> None:
    """Check that nothing in a run folder is a link out of it, which writing would follow.

    Raises:
        InputError: something is; the message names it.
    """
    for path in folder.rglob("*"):
        try:
            leads_out = path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())
        except (OSError, RuntimeError):
            # A link to itself resolves to nothing.
            leads_out = True

        if leads_out:
            raise InputError(f"{path} leads out of the run folder; put what it points to in its place")


def has_trials(folder: Path) -> bool:
    """Return whether a run was begun in the folder, that is, whether its journal has a line after the first."""
    path = folder / FILE_NAME
    if not path.is_file():
        return False
    first_two = list(islice(_whole_lines(path), 2))
    return len(first_two) == 2


def read_record(folder: Path) -> Record:
    """Read a run folder without changing it; a last line that was cut short is ignored.

    Raises:
        InputError: no journal there, or a line that is damaged or does not fit; the message names the line.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise InputError(f"no run at {folder}: there is no {FILE_NAME}{runs_below(folder, FILE_NAME)}")

    with _no_collections():
        record = _read_lines(path)
    if record is None:
        raise InputError(f"no run at {folder}: {FILE_NAME} is empty")
    return record


def _read_lines(path: Path) -> Record | None:
    record: Record | None = None
    for number, line in _whole_lines(path):
        try:
            record = _with_event(record, ANY_EVENT.validate_json(line))
        except ValidationError as error:
            raise InputError(f"{path}, line {number}: {first_error(error)}") from None
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
    return record


def _with_event(record: Record | None, event: Created | Event) -> Record:
    """Return the record with one more event; the first one makes it.

    Raises:
        ValueError: the event does not fit.
    """
    if isinstance(event, Created):
        if record is not None:
            raise ValueError("a second first line")
        return Record(event)

    if record is None:
        raise ValueError("the first line does not say what the run is")
    record.add(event)
    return record


@contextmanager
def _no_collections() -> Iterator[None]:
    """Keep Python from looking for garbage among the millions of values that a long journal becomes: there is none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def package_versions() -> dict[str, str]:
    """Return versions of Python and of the packages that shape results."""
    versions = {"python": platform.python_version()}
    for name in ("spinenet-search", "torch", "torchvision", "ray", "numpy", "hotcoco"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield number, line


def _cut_torn_line(descriptor: int) -> None:
    """Remove what follows the last line break: a line that was being written when the process was killed."""
    size = os.fstat(descriptor).st_size
    end = _end_of_last_line(descriptor, size)
    if end < size:
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)


def _end_of_last_line(descriptor: int, size: int) -> int:
    """Return how many of a file's bytes are whole lines."""
    end = size
    while end > 0:
        start = max(0, end - _TAIL_BYTES)
        line_break = os.pread(descriptor, end - start, start).rfind(b"\n")
        if line_break >= 0:
            return start + line_break + 1
        end = start
    return 0
