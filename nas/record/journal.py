"""The append-only record of a run: everything that was proposed and everything that came back."""

import gc
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from controllers import Proposal
from foundation import InputError, first_error
from nas.record.lock import RunLock
from nas.record.trial import Failure, Trial
from search_space import ArchSpec, BlockSpec, Decision, Decisions

FILE_NAME = "journal.jsonl"
MAX_RUNG = 20
"""More promotions than any search has room for."""


_BLOCK = TypeAdapter(BlockSpec)
_NUM_FIELDS = len(fields(BlockSpec))


@lru_cache(maxsize=100_000)
def _shared_block(level: int, kind: str, parents: tuple[int, ...], is_output: bool) -> BlockSpec:
    return _BLOCK.validate_python({"level": level, "kind": kind, "parents": parents, "is_output": is_output})


def _with_shared_blocks(spec: Any) -> Any:  # noqa: ANN401  # what stands in the file
    """Put one object in place of all blocks that are equal: 100,000 specs then take half the memory to keep.

    What is no list of good blocks is left to the validation that follows, whose message names the place.
    """
    try:
        shared = [
            _shared_block(b["level"], b["kind"], tuple(b["parents"]), b["is_output"]) if len(b) == _NUM_FIELDS else b
            for b in spec["blocks"]
        ]
    except (TypeError, KeyError, ValueError):
        return spec
    return {**spec, "blocks": shared}


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    time: float = Field(default_factory=time.time)


class Created(_Event):
    """First line: what the run is.

    Attributes:
        schema_version: of the journal's layout.
        config: the whole configuration, resolved.
        versions: of the packages that do the work.
        begin_with: decisions of the first trials, which are proposed before the controller's own.
        decisions: what the space decides, with a word for each option; empty where an older version began the run.
        time: seconds since 1970, as in all events.
    """

    event: Literal["created"] = "created"
    schema_version: Literal[1] = 1
    config: dict[str, Any]
    versions: dict[str, str]
    begin_with: tuple[tuple[int, ...], ...] = ()
    decisions: tuple[Decision, ...] = ()


class Asked(_Event):
    """A controller proposed something. Written before anything runs."""

    event: Literal["asked"] = "asked"
    trial: int
    decisions: tuple[int, ...]
    log_prob: float | None = None
    rung: Annotated[int, Field(ge=0, le=MAX_RUNG)] = 0
    key: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    spec: Annotated[ArchSpec, BeforeValidator(_with_shared_blocks)]


class AttemptFailed(_Event):
    """A trial failed in a way that does not end it: it is run again, now or by the next start."""

    event: Literal["attempt_failed"] = "attempt_failed"
    trial: int
    failure: Failure


class Told(_Event):
    """A trial ended. Written before the controller learns of it."""

    event: Literal["told"] = "told"
    trial: int
    status: Literal["completed", "failed", "reused", "rejected"]
    reward: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    seconds: dict[str, float] = Field(default_factory=dict)
    loss_curve: tuple[float, ...] = ()
    failure: Failure | None = None
    reused_from: int | None = None


Event: TypeAlias = Asked | AttemptFailed | Told
"""What can happen after a run was created."""
_EVENT: TypeAdapter[Created | Event] = TypeAdapter(Annotated[Created | Event, Field(discriminator="event")])


class Record:
    """What a journal says: the run, its trials, and the order in which results came.

    Attributes:
        created: the first line.
        trials: by number.
        told: numbers of the trials that ended, in the order in which their results came.
        told_at: when, for each of them, in seconds since 1970.
    """

    def __init__(self, created: Created) -> None:
        self.created = created
        self.trials: dict[int, Trial] = {}
        self.told: list[int] = []
        self.told_at: list[float] = []

    def add(self, event: Event) -> None:
        """Take in one more event.

        Raises:
            ValueError: a number asked twice or out of order, a result for a trial that is not running.
        """
        if isinstance(event, Asked):
            if event.trial != len(self.trials):
                raise ValueError(f"trial {len(self.trials)} should be asked next, not {event.trial}")
            proposal = Proposal(event.decisions, event.log_prob, event.rung)
            self.trials[event.trial] = Trial(event.trial, proposal, event.spec, event.key)
            return
        trial = self.trials.get(event.trial)
        if trial is None or trial.status != "running":
            raise ValueError(f"a result for trial {event.trial}, which is not running")
        if isinstance(event, AttemptFailed):
            self.trials[event.trial] = replace(trial, attempts=(*trial.attempts, event.failure))
            return
        if (event.status in ("failed", "rejected")) != (event.reward is None):
            raise ValueError(f"trial {event.trial} is {event.status} with reward {event.reward}")
        self.trials[event.trial] = replace(
            trial,
            status=event.status,
            reward=event.reward,
            metrics=event.metrics,
            seconds=event.seconds,
            loss_curve=event.loss_curve,
            failure=event.failure,
            reused_from=event.reused_from,
        )
        self.told.append(event.trial)
        self.told_at.append(event.time)


class Journal:
    """A run folder's journal, open for appending by this process alone.

    Every event is on disk when `append` returns. A last line that a kill cut short is removed on opening; a journal
    without trials is begun anew.

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
            _cut_torn_line(self._descriptor)
            if os.fstat(self._descriptor).st_size:
                self.record = read_record(folder)
            if not os.fstat(self._descriptor).st_size or not self.record.trials:
                # A run that has asked for nothing yet holds nothing to keep: it may become another one.
                os.ftruncate(self._descriptor, 0)
                created = Created(
                    config=dict(config),
                    versions=package_versions(),
                    begin_with=tuple(begin_with),
                    decisions=tuple(decisions),
                )
                self._write(created)
                _sync_folder(folder)
                self.record = Record(created)
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
        except (OSError, RuntimeError):  # a loop
            leads_out = True
        if leads_out:
            raise InputError(f"{path} leads out of the run folder; put what it points to in its place")


def has_trials(folder: Path) -> bool:
    """Return whether a run was begun in the folder: whether its journal has a line after the first."""
    path = folder / FILE_NAME
    return path.is_file() and len(list(islice(_whole_lines(path), 2))) == 2


def read_record(folder: Path) -> Record:
    """Read a run folder without changing it; a last line that was cut short is ignored.

    Raises:
        InputError: no journal there, or a line that is damaged or does not fit; the message names the line.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise InputError(f"no run at {folder}: there is no {FILE_NAME}")
    with _no_collections():
        record = _read_lines(path)
    if record is None:
        raise InputError(f"no run at {folder}: {FILE_NAME} is empty")
    return record


def _read_lines(path: Path) -> Record | None:
    record: Record | None = None
    for number, line in _whole_lines(path):
        try:
            event = _EVENT.validate_json(line)
            if isinstance(event, Created):
                if record is not None:
                    raise ValueError("a second first line")
                record = Record(event)
            elif record is None:
                raise ValueError("the first line does not say what the run is")
            else:
                record.add(event)
        except ValidationError as error:
            raise InputError(f"{path}, line {number}: {first_error(error)}") from None
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
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
    end = size = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - 65536)
        if (at := os.pread(descriptor, end - start, start).rfind(b"\n")) >= 0:
            end = start + at + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Put the folder's new entry on disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
