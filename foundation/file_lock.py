"""A lock for a file that is replaced whole: what one process adds must not be lost by what another adds at once."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from foundation.errors import InputError
from foundation.files import make_folder
from foundation.paths import short_path


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Keep other processes that ask for the same lock from a file, after waiting for the one that has it.

    A file beside it is locked, which is there as long as someone has the lock: the file itself is another one each time
    that it is replaced.

    Raises:
        InputError: the folder cannot be written, or has no locks.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        make_folder(path.parent)
        descriptor = _taken(lock)
    except OSError as error:
        raise InputError(f"cannot write {short_path(path)}: no lock beside it: {error.strerror}") from None

    try:
        yield
    finally:
        # Removed while it is held: whoever waits for it finds that it is gone, and makes a new one.
        with suppress(FileNotFoundError):
            lock.unlink()
        os.close(descriptor)


def _taken(lock: Path) -> int:
    """Return the descriptor of a lock file that this process has locked, and that still has its name."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(lock), os.fstat(descriptor)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
