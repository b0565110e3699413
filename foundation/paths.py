"""Paths as a person writes them."""

import os
from pathlib import Path

from foundation import InputError


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
