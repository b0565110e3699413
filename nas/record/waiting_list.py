"""The waiting list of a run: architectures that people have put in, which the search takes before it proposes its own.

It is a folder of files in the run folder. Anybody may add one while a search runs: the search takes the oldest, and
removes it once its trial is on record. Where it is killed in between, the record knows the file by its name.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from foundation import InputError, first_error, short_path, write_whole
from nas.record.journal import refuse_link
from search_space import Decisions

FOLDER = "waiting"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    decisions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """An architecture on the list.

    Attributes:
        name: of its file.
        decisions: of the run's space.
    """

    name: str
    decisions: Decisions


def add_to_waiting_list(run: Path, key: str, decisions: Decisions) -> str:
    """Put an architecture at the end of a run's list; return the name of its file, which is on disk then.

    Raises:
        InputError: it cannot be written.
    """
    # Names sort by their time, and two that come at once differ in their architecture.
    name = f"{time.time_ns():020}-{key}.json"
    write_whole(run / FOLDER / name, _Entry(decisions=decisions).model_dump_json().encode(), inside=run)
    return name


def waiting_names(run: Path, taken: Collection[str]) -> list[str]:
    """Return the names of the files on a run's list that no trial has been made of, the oldest first."""
    return sorted(path.name for path in (run / FOLDER).glob("*.json") if path.name not in taken)


def waits(run: Path, key: str, taken: Collection[str]) -> bool:
    """Return whether an architecture is on a run's list."""
    return any(name.endswith(f"-{key}.json") for name in waiting_names(run, taken))


def first_waiting(run: Path, taken: Collection[str]) -> Waiting | None:
    """Return the oldest architecture on a run's list; None for an empty list.

    Raises:
        InputError: its file is damaged, or leads out of the run folder.
    """
    names = waiting_names(run, taken)
    if not names:
        return None
    path = run / FOLDER / names[0]
    refuse_link(path, run)
    try:
        return Waiting(path.name, _Entry.model_validate_json(path.read_bytes()).decisions)
    except OSError as error:
        raise InputError(f"cannot read {short_path(path)}: {error.strerror}") from None
    except ValidationError as error:
        raise InputError(f"{short_path(path)}: {first_error(error)}; delete it") from None


def remove_from_waiting_list(run: Path, name: str) -> None:
    """Remove what is on record as a trial; a file that stays is passed over."""
    try:
        (run / FOLDER / name).unlink(missing_ok=True)
    except OSError:
        return
