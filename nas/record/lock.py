"""The run lock: one process per run folder."""

import errno
import fcntl
import os
import socket
from pathlib import Path

from foundation import InputError, write_whole

FILE_NAME = "lock"
"""The file that is locked besides the journal: older versions lock and read this one alone."""
HOLDER_NAME = "journal.holder"
"""The file that says who has the run, for the case that the lock file was deleted."""
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""Answers of file systems that have no locks, or were mounted without them."""


class RunLock:
    """A lock on a run folder that ends with its process, however that ends.

    It is complete once it has its journal too, which no clean-up takes for a file that nobody needs.

    Raises:
        InputError: another process has it, which the message names; or the folder cannot be locked.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = (folder / FILE_NAME).open("a+")
        self._take(self._file.fileno(), (FILE_NAME, HOLDER_NAME))

    def cover(self, journal: int) -> None:
        """Lock the journal itself, given by its descriptor, and note down who has the run.

        Raises:
            InputError: another process has it, which the message names; or it cannot be locked.
        """
        # Whoever has the journal has lost the lock file: what stands in this one is not theirs.
        self._take(journal, (HOLDER_NAME,))

        # For the message that the next process gets.
        holder = f"process {os.getpid()} on {socket.gethostname()}\n"
        self._file.truncate(0)
        self._file.write(holder)
        self._file.flush()
        write_whole(self._folder / HOLDER_NAME, holder.encode())

    def release(self) -> None:
        """Let other processes take the folder."""
        self._file.close()

    def _take(self, descriptor: int, names: tuple[str, ...]) -> None:
        """Lock one file; where another process has it, name that one by the first of the named files that does."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            raise InputError(self._why_not(error, names)) from None

    def _why_not(self, error: OSError, names: tuple[str, ...]) -> str:
        """Return why a file could not be locked, and what to do where its file system has no locks."""
        if error.errno in _HELD:
            notes = [_note(self._folder / name) for name in names]
            holder = next(filter(None, notes), "another process")
            return f"the run folder {self._folder} is in use by {holder}"

        if error.errno in _NO_LOCKS:
            return (
                f"the file system of the run folder {self._folder} has no locks ({error.strerror}), so two searches "
                "could write there at once; put the run folder on another disk (run=...), or mount this one with locks"
            )
        return f"the run folder {self._folder} cannot be locked: {error.strerror}"


def _note(path: Path) -> str:
    """Return what a file says of who has the run; nothing where it is missing."""
    return path.read_text().strip() if path.is_file() else ""
