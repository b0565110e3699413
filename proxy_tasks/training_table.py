"""A table of trainings: what was trained, how, and with which result, in one file that needs no run to be read.

The file is gzipped JSON Lines: a line that says what the tasks and the spaces were, then a line for each training.
"""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from foundation import InputError, first_error, short_path, write_whole
from proxy_tasks.base import Fidelity, Numerics
from search_space import ArchSpec, Candidate, Decision, Decisions, ModelScale

Source: TypeAlias = Literal["drawn", "proposed", "promoted", "given", "replay", "baseline"]
"""The origin of a training.

`drawn` uniformly from the space; `proposed` by a controller from what it had learnt, or by one whose draws the record
does not tell apart; `promoted` to more training; `given` to its run at the start, as by a warm start or a study;
`replay` of what a search ranked high; `baseline`: no architecture of a space.
"""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One completed training.

    Attributes:
        task: identity of the task, one of `TrainingTable.tasks`; rewards of two tasks do not compare.
        source: where it is from.
        key: canonical key of the candidate; the name of a baseline.
        spec: architecture; None for a baseline.
        scale: its own scale; None where its space searches none, and the task's counts.
        space: the space that the decisions are of, one of `TrainingTable.spaces`; None where there are none.
        decisions: one option for every decision of the space; None for a baseline.
        controller: class that searched, where a search proposed or drew it.
        fidelity: how much was trained; with `is_continued` the last part of it.
        is_continued: whether it may have continued from the network of a shorter training, as promoted trials do.
        seed: of the training.
        numerics: the arithmetic; None where metrics do not depend on it, or it is not on record.
        metrics: all figures of the task.
        loss_curve: mean training loss in equally long parts of the training.
        seconds: durations.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    task: str
    source: Source
    key: str
    seed: int
    fidelity: Fidelity
    metrics: Mapping[str, float]
    spec: ArchSpec | None = None
    scale: ModelScale | None = None
    space: str | None = None
    decisions: Decisions | None = None
    controller: str | None = None
    is_continued: bool = False
    numerics: Numerics | None = None
    loss_curve: tuple[float, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.spec is None:
            return
        own = Candidate(self.spec, self.scale).key
        if own != self.key:
            raise ValueError(f"the spec's own key is {own}, beside it stands {self.key}")

    @property
    def training(self) -> tuple[str, ...]:
        """The identity of the training, by which rows are sorted: rows that are equal in it are one training."""
        images, threads = self.fidelity.max_train_images, self.numerics and self.numerics.threads
        precision, device = (self.numerics.precision, self.numerics.device) if self.numerics else ("", "")
        epochs = f"{self.fidelity.epochs:018.6f}", f"{self.metrics.get('epochs_before', 0):018.6f}"
        amounts = (f"{self.seed:012}", *epochs, f"{images or 0:012}", f"{self.is_continued}")
        return (self.task, str(self.spec is None), self.key, *amounts, precision, device, f"{threads or 0:06}")


class TableTask(BaseModel):
    """A task, as far as metrics depend on it.

    Attributes:
        options: those that its metrics may depend on, by their whole names.
        data: what stands for the content of its data, by its part; None where it has none or that is not on record.
        versions: versions of the packages that trained, all that occurred.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    options: dict[str, Any]
    data: dict[str, str] | None = None
    versions: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class TableSpace(BaseModel):
    """A space of architectures.

    Attributes:
        options: of the space, by their whole names.
        decisions: with a word for each option.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    options: dict[str, Any]
    decisions: tuple[Decision, ...] = ()


class _Header(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["spinenet-search trainings"] = "spinenet-search trainings"
    format_version: Literal[1] = 1
    licence: Literal["CC0-1.0"] = "CC0-1.0"
    tasks: dict[str, TableTask]
    spaces: dict[str, TableSpace]


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """Trainings with what their tasks and spaces were.

    Attributes:
        tasks: by identity.
        spaces: by identity.
        rows: one for each training.
    """

    tasks: Mapping[str, TableTask]
    spaces: Mapping[str, TableSpace]
    rows: tuple[TrainingRow, ...]

    def joined(self, others: Sequence["TrainingTable"]) -> "TrainingTable":
        """Return all tables as one, sorted, whatever order the others come in.

        Of a training that this table has its row stays; of several that only others have, the same one always.
        """
        by_training = {row.training: row for row in self.rows}
        for row in sorted((row for other in others for row in other.rows), key=_ROW.dump_json):
            by_training.setdefault(row.training, row)

        tasks, spaces = dict(self.tasks), dict(self.spaces)
        for other in others:
            spaces |= other.spaces
            for identity, task in other.tasks.items():
                tasks[identity] = _with_versions(tasks.get(identity, task), task.versions)

        rows = tuple(by_training[training] for training in sorted(by_training))
        return TrainingTable(tasks, spaces, rows)


EMPTY_TABLE = TrainingTable({}, {}, ())
_ROW = TypeAdapter(TrainingRow)


def read_table(path: Path) -> TrainingTable:
    """Read a table of trainings.

    Raises:
        InputError: no such file, no such table, one that is damaged or of a newer version; the message names the line.
    """
    lines = _lines(path)
    try:
        header = _Header.model_validate_json(next(lines, b""))
    except ValidationError as error:
        problem = first_error(error)
        raise InputError(
            f"{short_path(path)}, line 1: no table of trainings that this version reads: {problem}"
        ) from None

    rows = []
    for number, line in enumerate(lines, start=2):
        try:
            row = _ROW.validate_json(line)
        except ValidationError as error:
            raise InputError(f"{short_path(path)}, line {number}: {first_error(error)}") from None
        if row.task not in header.tasks or (row.space is not None and row.space not in header.spaces):
            raise InputError(f"{short_path(path)}, line {number}: its task or its space is not in the first line")
        rows.append(row)
    return TrainingTable(header.tasks, header.spaces, tuple(rows))


def write_table(path: Path, table: TrainingTable) -> int:
    """Write a table whole or not at all, with the same bytes for the same table; return how many they are.

    Raises:
        InputError: it cannot be written.
    """
    header = _Header(tasks=dict(sorted(table.tasks.items())), spaces=dict(sorted(table.spaces.items())))
    rows = sorted(table.rows, key=lambda row: row.training)

    packed = io.BytesIO()
    # Neither a name nor a time goes into the file: both would make equal tables differ.
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(header.model_dump_json().encode() + b"\n")
        for row in rows:
            file.write(_ROW.dump_json(row, exclude_defaults=True) + b"\n")

    write_whole(path, packed.getvalue())
    return len(packed.getvalue())


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a gzipped file.

    Raises:
        InputError: it cannot be read, or is not what was packed.
    """
    try:
        with gzip.open(path) as file:
            yield from file
    except gzip.BadGzipFile:
        raise InputError(f"{short_path(path)}: is no gzipped file") from None
    except (EOFError, zlib.error):
        raise InputError(f"{short_path(path)}: is cut short or damaged") from None
    except OSError as error:
        raise InputError(f"cannot read {short_path(path)}: {error.strerror}") from None


def _with_versions(task: TableTask, versions: Mapping[str, Sequence[str]]) -> TableTask:
    """Return a task with further versions of packages that trained it."""
    names = sorted({*task.versions, *versions})
    joined = {name: _sorted({*task.versions.get(name, ()), *versions.get(name, ())}) for name in names}
    return task.model_copy(update={"versions": joined})


def _sorted(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(words))
