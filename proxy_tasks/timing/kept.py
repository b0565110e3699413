"""Kept latencies: each result is a file of its own, so that nothing is timed twice, whichever run asks.

A file is written whole, and named by all that its time depends on. Processes of a machine that measure on one device
take turns: two that measured at once would both be slow.
"""

import errno
import fcntl
import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from foundation import InputError, make_folder, short_path, write_whole
from proxy_tasks.latency import Conditions, Latency
from search_space import ModelScale

FOLDER = "latency"
"""Folder of these files, in that of the caches or in a run."""
Turn: TypeAlias = tuple[int, ...]
"""A turn on a device: the descriptor of its locked file, for processes to inherit; empty where there are no turns."""
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_PAUSE_S = 0.05


class Subject(BaseModel):
    """All that a time depends on.

    Attributes:
        key: of the architecture, or the baseline's name.
        head: of the network.
        num_classes: of the head.
        scale: of the network.
        command: the command that measures; None for none.
        command_files: SHA-256 of the files that the command names, as `command_files` returns them.
        code: versions and digests of what makes the network, as `code_of` returns them.
        conditions: how it is measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(pattern=r"^[\w.-]+$")
    head: str = Field(pattern=r"^\w+$")
    num_classes: int
    scale: ModelScale
    command: str | None
    command_files: Mapping[str, str] = Field(default_factory=dict)
    code: Mapping[str, str] = Field(default_factory=dict)
    conditions: Conditions

    @property
    def file_name(self) -> str:
        """Name of the file of the result."""
        digest = hashlib.sha256(TypeAdapter(Subject).dump_json(self)).hexdigest()
        return f"{self.key}-{digest[:16]}.json"


class KeptLatency(BaseModel):
    """A latency that was measured.

    Attributes:
        schema_version: version of the file's layout.
        subject: what was measured, and how.
        median_ms: see `Latency`.
        quartiles_ms: see `Latency`.
        measured_at: in seconds since 1970.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    subject: Subject
    median_ms: float = Field(gt=0)
    quartiles_ms: tuple[float, float]
    measured_at: float

    @property
    def latency(self) -> Latency:
        """The latency with its conditions."""
        return Latency(self.median_ms, self.quartiles_ms, self.subject.conditions)


def kept_or_measured(
    folder: Path,
    subject: Subject,
    measure: Callable[[Turn], Latency],
    *,
    timeout_s: float,
    say: Callable[[str], None],
) -> KeptLatency:
    """Return a latency that was measured before, or measure and keep it.

    Args:
        folder: of all that are kept.
        subject: what is measured, and how.
        measure: measures it; what it starts inherits the turn that it is given, and keeps it should this process die.
        timeout_s: longest that the turns of others on the same device may take, all together.
        say: called with a line where the result cannot be kept.

    Raises:
        InputError: it cannot be measured, or others would not come to an end.
    """
    found = _read(folder / subject.file_name, subject)
    if found is not None:
        return found

    with _turn(folder, subject.conditions, timeout_s) as turn:
        # Whoever had the turn before may have measured it.
        found = _read(folder / subject.file_name, subject)
        if found is not None:
            return found

        latency = measure(turn)
        kept = KeptLatency(
            subject=subject, median_ms=latency.median_ms, quartiles_ms=latency.quartiles_ms, measured_at=time.time()
        )
        # Within the turn: the next one looks for it first.
        try:
            keep(folder, kept)
        except InputError as error:
            say(f"a latency is not kept, and will be measured again: {error}")
        return kept


def keep(folder: Path, kept: KeptLatency, *, inside: Path | None = None) -> None:
    """Write a latency into a folder, in place of an earlier one of the same; `inside` is that of `write_whole`.

    Raises:
        InputError: it cannot be written.
    """
    content = kept.model_dump_json(indent=1)
    write_whole(folder / kept.subject.file_name, f"{content}\n".encode(), inside=inside)


def _read(path: Path, subject: Subject) -> KeptLatency | None:
    """Return what is kept; None where nothing is, or the file is damaged, which then is replaced."""
    try:
        kept = KeptLatency.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return kept if kept.subject == subject else None


@contextmanager
def _turn(folder: Path, conditions: Conditions, timeout_s: float) -> Iterator[Turn]:
    """Wait until no other process measures on a device by way of this folder; hold the turn, and yield it.

    Raises:
        InputError: others did not come to an end in time.
    """
    # The number of threads is no part of what is in use. Machines may share a folder, and the device of a command.
    device = conditions.device
    used = device.partition(", ")[0]
    if conditions.runtime != "command":
        used = f"{used} of {socket.gethostname()}"
    name = f"{hashlib.sha256(used.encode()).hexdigest()[:16]}.lock"
    file = _lock_file(folder, name)
    if file is None:
        # Where nothing can be written, nobody can be waited for.
        yield ()
        return

    with file:
        _take(file, timeout_s, f"{device} was in use by other measurements for {timeout_s:g} s ({short_path(folder)})")
        try:
            yield (file.fileno(),)
        finally:
            # Closing alone would leave the turn to a process that a command has left behind.
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)


def _lock_file(folder: Path, name: str) -> IO[str] | None:
    try:
        make_folder(folder)
        return open(folder / name, "a+", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW, 0o666))
    except OSError:
        return None


def _take(file: IO[str], timeout_s: float, too_long: str) -> None:
    """Lock a file, which ends with the process or as it is closed; a file system without locks has no turns."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in _HELD:
                return

        if time.monotonic() > until:
            raise InputError(too_long)
        time.sleep(_PAUSE_S)
