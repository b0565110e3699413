"""Paths as a person writes and reads them."""

import os
from pathlib import Path

from foundation.errors import InputError


def absolute_path(path: Path) -> Path:
    """Return a path that means the same in any folder, `~` resolved.

    Raises:
        InputError: `~` names a user who is unknown, or the path starts from a folder that has been deleted.
    """
    try:
        expanded = path.expanduser()
    except RuntimeError:
        raise InputError(f"{path}: there is no such user") from None
    return expanded if expanded.is_absolute() else current_folder() / expanded


def current_folder() -> Path:
    """Return the folder that the command was started in.

    Raises:
        InputError: it has been deleted, or cannot be read any more.
    """
    try:
        return Path.cwd()
    except OSError as error:
        reason = "has been deleted" if isinstance(error, FileNotFoundError) else f"is out of reach: {error.strerror}"
        raise InputError(f"the current folder {reason}; change to another one first") from None


def short_path(path: Path | str) -> str:
    """Return a path as seen from the current folder; unchanged where that folder has been deleted."""
    try:
        return os.path.relpath(path)
    except FileNotFoundError:
        return str(path)
