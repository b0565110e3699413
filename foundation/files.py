"""Files that appear whole or not at all."""

import os
import secrets
from pathlib import Path

from foundation.errors import InputError
from foundation.paths import short_path


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that it appears whole or not at all; make its folder if need be.

    The content goes into a new file beside it, which takes the name once it is on disk: after a crash the name stands
    for the old content or for the new one. A link at `path` is replaced, not followed.

    Raises:
        InputError: it cannot be written; what was there before is untouched.
    """
    # Nobody can guess this name and put a link or a file there first; a mode with "x" would refuse either.
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        make_folder(path.parent)
        _write_new(part, content)

        try:
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise InputError(f"cannot write {short_path(path)}: {error.strerror}") from None


def _write_new(path: Path, content: bytes | memoryview) -> None:
    """Write a file that is not there yet, to the disk itself; leave nothing where that fails or is interrupted."""
    with path.open("xb") as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing; each new entry is on disk when this returns."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk: without that a crash may take a new or renamed file out of it again."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
