"""Files that appear whole or not at all, and folders below which no link is followed."""

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from foundation.errors import InputError
from foundation.paths import short_path


def write_whole(path: Path, content: bytes | memoryview, *, inside: Path | None = None) -> None:
    """Write a file so that it appears whole or not at all; make its folder if need be.

    The content goes into a new file beside it, which takes the name once it is on disk: after a crash the name stands
    for the old content or for the new one. A link at `path` is replaced, not followed.

    Args:
        path: the file.
        content: what it is to hold.
        inside: see `open_folder`.

    Raises:
        InputError: it cannot be written; what was there before is untouched.
    """
    # Nobody can guess this name and put a link or a file there first; a mode with "x" would refuse either.
    part = f".{secrets.token_hex(8)}.part"
    try:
        with open_folder(path.parent, inside) as folder:
            _write_new(part, content, folder)
            try:
                os.replace(part, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(part, dir_fd=folder)
                raise
            os.fsync(folder)
    except OSError as error:
        raise InputError(f"cannot write {short_path(path)}: {error.strerror}") from None


@contextmanager
def open_folder(path: Path, inside: Path | None = None) -> Iterator[int]:
    """Open a folder, made if need be, as a descriptor for functions that take a `dir_fd`.

    What is done by the descriptor is done in this folder, whatever takes its name meanwhile.

    Args:
        path: the folder.
        inside: a folder above it, or itself, that is there: one that was moved away must not come back with this alone
            in it. No link below it is followed. None makes all folders and follows all links.

    Raises:
        OSError: it cannot be opened or made, or a link is in the way.
    """
    above = path if inside is None else inside
    if inside is None:
        make_folder(path)
    folder = os.open(above, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in path.relative_to(above).parts:
            below = _open_below(folder, name)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def opener_in(folder: int) -> Callable[[str, int], int]:
    """Return an opener for `open` that finds a name in an open folder, and does not follow it if it is a link."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW, 0o666, dir_fd=folder)

    return opener


def _open_below(folder: int, name: str) -> int:
    """Open a folder in an open one, made if need be, unless it is a link."""
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=folder)
        os.fsync(folder)

    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(error.errno, f"{name} is a link, which is not followed; put a folder in its place") from None
        raise


def _write_new(name: str, content: bytes | memoryview, folder: int) -> None:
    """Write a file that is not there yet, to the disk itself; leave nothing where that fails or is interrupted."""
    with open(name, "xb", opener=opener_in(folder)) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.unlink(name, dir_fd=folder)
            raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing; each new entry is on disk when this returns."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def check_writable(folder: Path, remedy: str, *, inside: Path | None = None) -> None:
    """Check, before long work, that files can be made in a folder that is there, or in one that can be made.

    Args:
        folder: the folder.
        remedy: what a person can do where it cannot, for the message.
        inside: see `open_folder`.

    Raises:
        InputError: they cannot.
    """
    absolute = folder.absolute()
    nearest = next(path for path in (absolute, *absolute.parents) if path.is_symlink() or path.exists())
    if inside is not None and folder.is_symlink():
        why = "is a link"
    elif not nearest.is_dir():
        why = "is no folder"
    elif not os.access(nearest, os.W_OK):
        why = "cannot be written to"
    else:
        return
    raise InputError(f"{short_path(nearest)} {why}: {remedy}")


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk: without that a crash may take a new or renamed file out of it again."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
