"""The run lock: one process per run folder."""

import fcntl
import os
import socket
from pathlib import Path

from foundation import InputError, write_whole

FILE_NAME = "lock"
"""The file that is locked besides the journal: older versions lock and read this one alone."""
HOLDER_NAME = "journal.holder"
"""The file that says who has the run, for the case that the lock file was deleted."""


class RunLock:
    """A lock on a run folder that ends with its process, however that ends.

    It is complete once it has its journal too, which no clean-up takes for a file that nobody needs.

    Raises:
        InputError: another process has it; the message names that one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = (folder / FILE_NAME).open("a+")
        self._take(self._file.fileno(), (FILE_NAME, HOLDER_NAME))

    def cover(self, journal: int) -> None:
        """Lock the journal itself, given by its descriptor, and note down who has the run.

        Raises:
            InputError: another process has it; the message names that one.
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
        """Lock one file, or refuse with what the first of the named files that has a word says of its holder."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            notes = [_note(self._folder / name) for name in names]
            holder = next(filter(None, notes), "another process")
            raise InputError(f"the run folder {self._folder} is in use by {holder}") from None


def _note(path: Path) -> str:
    """Return what a file says of who has the run; nothing where it is missing."""
    return path.read_text().strip() if path.is_file() else ""
