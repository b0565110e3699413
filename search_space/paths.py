"""Paths as a person writes them, and files that are written whole or not at all."""

import os
from pathlib import Path

from search_space.errors import InputError


def absolute_path(path: Path) -> Path:
    """Return a path that is right in any folder, `~` resolved.

    Raises:
        InputError: `~` names a user who is unknown.
    """
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise InputError(f"{path}: there is no such user") from None


def short_path(path: Path | str) -> str:
    """Return a path as seen from the current folder; as it is where that folder has been deleted."""
    try:
        return os.path.relpath(path)
    except FileNotFoundError:
        return str(path)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, and its folder if need be; whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        if part.is_file():
            part.unlink()
        raise InputError(f"cannot write {short_path(path)}: {error.strerror}") from None
