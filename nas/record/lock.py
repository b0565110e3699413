"""The run lock: one process per run folder."""

import fcntl
import os
import socket
from pathlib import Path

from foundation import InputError


class RunLock:
    """A lock on a run folder that ends with its process, however that ends.

    Raises:
        InputError: another process has it; the message names that one.
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise InputError(f"the run folder {folder} is in use by {holder}") from None

        # For the message that the next process gets.
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let other processes take the folder."""
        self._file.close()
