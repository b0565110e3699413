"""Paths as a person writes and reads them."""

import os
from pathlib import Path

from foundation.errors import InputError


def absolute_path(path: Path) -> Path:
    """Return a path that means the same in any folder, `~` resolved.

    Raises:
        InputError: `~` names a user who is unknown.
    """
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise InputError(f"{path}: there is no such user") from None


def short_path(path: Path | str) -> str:
    """Return a path as seen from the current folder; unchanged where that folder has been deleted."""
    try:
        return os.path.relpath(path)
    except FileNotFoundError:
        return str(path)
