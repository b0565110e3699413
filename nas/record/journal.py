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
from typing import Any, BinaryIO, Self

from pydantic import ValidationError
from pydantic_core import from_json

from foundation import InputError, first_error, make_folder, sync_folder
from nas.own_packages import DISTRIBUTION
from nas.record.below import runs_below
from nas.record.events import ANY_EVENT, SCHEMA_VERSION, Asked, Created, Event
from nas.record.lock import RunLock
from nas.record.record import Record
from search_space import Decision, Decisions

FILE_NAME = "journal.jsonl"
_TAIL_BYTES = 65536
"""Bytes read at a time, from the end, to find the last line break."""


class Journal:
    """A run folder's journal, open for appending by this process alone.

    Every event is on disk when `append` returns. A journal without trials is begun again. One with trials stays byte
    for byte until the first `append`, which removes a last line that a kill cut short.

    Attributes:
        folder: the run folder.
        record: what the journal says, every appended event included.

    Args:
        folder: the run folder; made if need be.
        config: the run's configuration, for the first line of a new journal.
        begin_with: decisions of its first trials; a journal with trials keeps those that it has.
        decisions: the space's decisions, for the first line of a new journal.
        data: the content of the task's data, for the first line of a new journal.
        data_places: the options that say where it lies, for the first line of a new journal.

    Raises:
        InputError: another process has the journal open, it cannot be written, or it is damaged.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        begin_with: Sequence[Decisions] = (),
        decisions: Sequence[Decision] = (),
        data: Mapping[str, str] | None = None,
        data_places: Sequence[str] = (),
    ) -> None:
        created = Created(
            config=dict(config),
            versions=package_versions(),
            begin_with=tuple(begin_with),
            decisions=tuple(decisions),
            data=dict(data) if data else None,
            data_places=tuple(data_places) if data and data_places else None,
        )

        # Links first: opening the lock or the journal would follow them. The lock before the journal: a line that
        # another process is writing must not be cut off as a torn one.
        path = folder / FILE_NAME
        refuse_links(folder)
        try:
            make_folder(folder)
            self._lock = RunLock(folder)
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise InputError(f"cannot write the run folder {folder}: {error.strerror}") from None

        self.folder = folder
        self._path = path

        try:
            self._lock.cover(self._descriptor)
            self._size = os.fstat(self._descriptor).st_size
            self._end, self._needs_break = _end_of_events(self._descriptor, self._size)
            self.record = self._opened_record(created)
        except BaseException:
            # Ctrl-C too: a lock that is left behind lasts as long as the process.
            self.close()
            raise

    def append(self, event: Event) -> None:
        """Write an event to disk, then take it into `record`.

        Raises:
            InputError: the disk is full or gone; the journal before this event is intact. Or the journal is not at its
                path any more, or was changed there; then nothing is written.
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

    def _opened_record(self, created: Created) -> Record:
        """Return what the journal holds; make `created` its first line where it has no trials."""
        with open(self._descriptor, "rb", closefd=False) as file:
            record = _read(self._path, file)
        if record is not None and record.trials:
            return record

        # A run that has asked for nothing yet holds nothing to keep: it may become another one.
        self._end, self._needs_break = 0, False
        self._write(created)

        # The file's name is on disk only once its folder is.
        sync_folder(self.folder)
        return Record(created)

    def _write(self, event: Created | Event) -> None:
        """Append one line and wait until it is on disk, whole or not at all."""
        line = event.model_dump_json(exclude_none=True).encode() + b"\n"
        if self._needs_break:
            line = b"\n" + line

        self._check_unchanged()
        try:
            # What follows the last event was cut short by a kill. It goes only now: a refused journal stays as it is.
            os.ftruncate(self._descriptor, self._end)
            _write_all(self._descriptor, line)
            os.fsync(self._descriptor)
        except OSError as error:
            # Half a line would become one with the next event.
            os.ftruncate(self._descriptor, self._end)
            self._size = self._end
            raise InputError(f"cannot write {self._path}: {error.strerror}; nothing before it is lost") from None
        self._size = self._end = self._end + len(line)
        self._needs_break = False

    def _check_unchanged(self) -> None:
        """Check that the path still is the open file, and that the file ends where this process left it.

        Raises:
            InputError: it is not or does not.
        """
        held = os.fstat(self._descriptor)
        try:
            is_there = os.path.samestat(self._path.stat(), held)
        except (FileNotFoundError, NotADirectoryError):
            is_there = False
        except OSError as error:
            raise InputError(f"cannot write {self._path}: {error.strerror}; nothing before it is lost") from None

        if not is_there:
            raise InputError(
                f"{self._path} was removed or replaced while this search was running; nothing was written since, so "
                "bring back the run folder and start again: the search resumes from all that is on record there"
            )
        if held.st_size != self._size:
            raise InputError(
                f"{self._path} was changed while this search was running: it has {held.st_size} bytes, of which this "
                f"search left {self._size}; nothing was written since, so put back what it held and start again"
            )


def refuse_links(folder: Path) -> None:
    """Check that nothing in a run folder is a link out of it, which writing would follow.

    Raises:
        InputError: something is; the message names it.
    """
    for path in folder.rglob("*"):
        if path.is_symlink():
            refuse_link(path, folder)


def refuse_link(path: Path, folder: Path) -> None:
    """Check that no link on the way to something in a run folder leads out of it.

    Raises:
        InputError: one does.
    """
    if leads_out(path, folder):
        raise InputError(f"{path} leads out of the run folder; put what it points to in its place")


def leads_out(path: Path, folder: Path) -> bool:
    """Return whether a link on the way to something in a run folder leads out of it."""
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        # A link to itself resolves to nothing.
        return True


def has_trials(folder: Path) -> bool:
    """Return whether a run was begun in the folder, that is, whether its journal has a line after the first."""
    path = folder / FILE_NAME
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first_two = list(islice(_lines(file), 2))
    return len(first_two) == 2


def read_record(folder: Path) -> Record:
    """Read a run folder without changing it; a last line that was cut short is ignored.

    Raises:
        InputError: no journal there, or a line that is damaged or does not fit; the message names the line.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise InputError(f"no run at {folder}: there is no {FILE_NAME}{runs_below(folder, FILE_NAME)}")

    with path.open("rb") as file:
        record = _read(path, file)
    if record is None:
        raise InputError(f"no run at {folder}: {FILE_NAME} is empty")
    return record


def read_created(folder: Path) -> Created | None:
    """Read what a run is, without its trials; None where the folder holds no run.

    Raises:
        InputError: the first line is damaged.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    with path.open("rb") as file:
        record = _read(path, file, num_lines=1)
    return None if record is None else record.created


def line_asking(folder: Path, trial: int) -> int:
    """Return the number of the line that asks for a trial of a journal that can be read."""
    with (folder / FILE_NAME).open("rb") as file:
        for number, line in _lines(file):
            event = ANY_EVENT.validate_json(line)
            if isinstance(event, Asked) and event.trial == trial:
                return number
    raise ValueError(f"no line asks for trial {trial}")


def _read(path: Path, file: BinaryIO, num_lines: int | None = None) -> Record | None:
    """Return what a journal holds, from the start of its file; None where it holds no event.

    Args:
        path: of the file, for messages.
        file: open at its start.
        num_lines: read no more lines than this; None for all.

    Raises:
        InputError: a line that is damaged or does not fit.
    """
    record: Record | None = None
    with _no_collections():
        for number, line in islice(_lines(file), num_lines):
            try:
                record = _with_event(record, ANY_EVENT.validate_json(line))
            except ValidationError as error:
                if record is None:
                    _refuse_newer(path, line)
                raise InputError(f"{path}, line {number}: {first_error(error)}") from None
            except ValueError as error:
                raise InputError(f"{path}, line {number}: {error}") from None
    return record


def _refuse_newer(path: Path, first_line: bytes) -> None:
    """Check that a first line that is not understood has no newer layout than this version reads.

    Raises:
        InputError: it has; the message names the version that wrote it, where the line does.
    """
    try:
        first = from_json(first_line)
    except ValueError:
        return

    # The line may hold anything: a newer layout need not even have the parts that are looked for here.
    layout = first.get("schema_version") if isinstance(first, dict) else None
    if not isinstance(layout, int) or layout <= SCHEMA_VERSION:
        return
    versions = first.get("versions")
    version = versions.get(DISTRIBUTION) if isinstance(versions, dict) else None
    raise InputError(
        f"{path} was written by a newer version, {DISTRIBUTION} {version or '(it does not say which)'}: its layout is "
        f"{layout}, and this version reads {SCHEMA_VERSION}; install that version to use this run"
    )


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
    for name in (DISTRIBUTION, "torch", "torchvision", "ray", "numpy", "hotcoco"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield a journal's lines with their numbers, without blank ones and without a last line that was cut short."""
    for number, line in enumerate(file, start=1):
        if line.strip() and not _is_cut_short(line):
            yield number, line


def _is_cut_short(line: bytes) -> bool:
    """Return whether a line was being written when its process was killed.

    No part of an event is JSON by itself, so what lacks nothing but the line break is a whole event.
    """
    if line.endswith(b"\n"):
        return False
    try:
        from_json(line)
    except ValueError:
        return True
    return False


def _end_of_events(descriptor: int, size: int) -> tuple[int, bool]:
    """Return how many of a journal's bytes are events, and whether the last of them lacks its line break."""
    end = _end_of_last_line(descriptor, size)
    rest = os.pread(descriptor, size - end, end)
    if not rest or _is_cut_short(rest):
        return end, False
    return size, True


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


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
