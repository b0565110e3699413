"""Checkpoints of a training: all that its next step depends on, in files that appear whole; the last two stay."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from foundation import InputError, short_path
from proxy_tasks.networks.torch_file import UnusableWeightsError, read_torch_file, write_torch_file

FOLDER = "checkpoints"
FORMAT = 1
"""Number of this layout; files of a higher one are refused."""
NUM_KEPT = 2
DATA = "data"
"""The option that holds hashes of the content of the data, by the names of its parts."""
_KIND = "checkpoint of a training"
_NAME = re.compile(r"step-(\d{9})\.pt")
_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.part")
"""Name of a file whose writing was killed; see `write_whole`."""


class Checkpoint(NamedTuple):
    """A training between two steps.

    Attributes:
        step: steps that are done.
        options: what makes the training what it is, by name.
        content: what the training needs to continue.
        remark: a line for a person where a later checkpoint could not be used; empty where this is the last one.
    """

    step: int
    options: Mapping[str, Any]
    content: Mapping[str, Any]
    remark: str = ""


def write_checkpoint(run: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a run folder, and remove all but the last two.

    Raises:
        InputError: it cannot be written; those before it are untouched.
    """
    folder = run / FOLDER
    path = folder / f"step-{checkpoint.step:09d}.pt"
    whole = {
        "kind": _KIND,
        "format": FORMAT,
        "step": checkpoint.step,
        "options": dict(checkpoint.options),
        "content": dict(checkpoint.content),
    }
    write_torch_file(path, whole, inside=run)

    # Only now, as the new one is on disk. What cannot be removed takes space, and does no other harm.
    for old in _files(folder)[:-NUM_KEPT]:
        with suppress(OSError):
            old.unlink()
    return path


def remove_unfinished(run: Path) -> None:
    """Remove files that a kill left half written; only while no other process writes here."""
    for folder in (run, run / FOLDER):
        for path in folder.iterdir() if folder.is_dir() else []:
            if _UNFINISHED.fullmatch(path.name):
                path.unlink()


def last_checkpoint(run: Path, options: Mapping[str, Any]) -> Checkpoint | None:
    """Return the last checkpoint in a run folder that is sound, or None where there is none at all.

    Args:
        run: the run folder.
        options: those of the training that is to continue.

    Raises:
        InputError: it is of another training, of a newer format, or none is sound.
    """
    files = _files(run / FOLDER)
    problems: list[str] = []
    for path in reversed(files):
        try:
            content = read_torch_file(path)
        except UnusableWeightsError as error:
            problems.append(str(error))
            continue

        found = _checked(path, content)
        _check_options(path, found.options, options)
        remark = f"{problems[0]}: continuing from step {found.step}" if problems else ""
        return found._replace(remark=remark)

    if files:
        raise InputError(
            f"{problems[0]}, and no checkpoint in {short_path(run / FOLDER)} is sound: remove that folder to begin "
            "from the first step"
        )
    return None


def _files(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, by step."""
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name)) if folder.is_dir() else []


def _checked(path: Path, content: Any) -> Checkpoint:  # noqa: ANN401  # whatever the file holds
    if not isinstance(content, dict) or content.get("kind") != _KIND:
        raise InputError(f"{path} is no checkpoint of a training")
    if content.get("format") != FORMAT:
        raise InputError(
            f"{path} is of format {content.get('format')}, this version reads format {FORMAT}: update spinenet-search"
        )
    step, options, rest = (content.get(name) for name in ("step", "options", "content"))
    if not isinstance(step, int) or not isinstance(options, dict) or not isinstance(rest, dict):
        raise InputError(f"{path} lacks parts of a checkpoint")
    return Checkpoint(step, options, rest)


def _check_options(path: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Check that a checkpoint is of the training that is to continue.

    Raises:
        InputError: it is not; the message names the first option that differs.
    """
    for name in dict.fromkeys([*here, *there]):
        if there.get(name) == here.get(name):
            continue
        if name == DATA:
            raise InputError(f"{short_path(path)} is of a training on other {_other_data(there[DATA], here[DATA])}")
        raise InputError(
            f"{short_path(path)} is of a training with {name}={there.get(name)}, and now {name}={here.get(name)}: "
            "give another run=, or the options that it was begun with"
        )


def _other_data(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Return in words the first part of the data that is another, as a search says it."""
    part = next(part for part in dict.fromkeys([*here, *there]) if there.get(part) != here.get(part))
    was, now = (parts.get(part, "none") for parts in (there, here))
    return (
        f"{part}: their content had the hash {was}, now it has {now}; give another run=, or the data that it was "
        "begun on"
    )
