"""A run's journal as another program keeps it beside its own state, and how it is put back into the run folder."""

from pathlib import Path

from foundation import InputError, make_folder, short_path, write_whole
from nas.record.journal import FILE_NAME
from nas.record.lock import RunLock


def journal_bytes(run: Path) -> bytes:
    """Return what the journal of a run holds; nothing where there is none yet."""
    path = run / FILE_NAME
    return path.read_bytes() if path.is_file() else b""


def put_back(run: Path, saved: bytes) -> None:
    """Make a run's journal hold at least what was saved of it: one that has gone further stays as it is.

    Raises:
        InputError: the folder holds another run, another process has it, or it cannot be written.
    """
    # A journal without trials holds nothing to keep, and its first line is written again at each start.
    if saved.count(b"\n") < 2:
        return

    try:
        make_folder(run)
        lock = RunLock(run)
    except OSError as error:
        raise InputError(f"cannot write the run folder {run}: {error.strerror}") from None

    try:
        present = journal_bytes(run)
        if present.startswith(saved):
            return
        if present.count(b"\n") >= 2 and not saved.startswith(present):
            raise InputError(
                f"{short_path(run)} holds another run than the one that is restored; move it away, and the one that is "
                "restored is put there"
            )
        write_whole(run / FILE_NAME, saved)
    finally:
        lock.release()
