"""The folder of a Ray that a search starts: short, private, locked, and cleared by the next start if it was killed."""

import fcntl
import os
import select
import shutil
import signal
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from foundation import InputError

PREFIX = "nas-ray-"
_LONGEST_SOCKET = f"/{PREFIX}12345678/r/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store.1"
MAX_PLACE_BYTES = 107 - len(_LONGEST_SOCKET)
"""Most bytes in the path of a folder to make ours in: the path of a socket has 107 at most."""
_MARK = "SPINENET_SEARCH_RAY"
_ENDED_WITHIN_MS = 2000
"""Longest time that a killed process is awaited: one that hangs in the kernel must not hold up others."""


class RayFolder:
    """A new folder for one Ray, and all processes of that Ray.

    Nobody else may enter it: those that Ray makes, all below this one, are open to every user of the machine. It is
    locked while its search lives, so that another start can tell a search that was killed, and programs that clean up
    leave it alone.

    Raises:
        InputError: no place for it can be written to, or all have long names.
    """

    def __init__(self) -> None:
        self.path, self._lock = _make(_places())

    @property
    def path_of_ray(self) -> Path:
        """The folder to give to Ray, which opens it to everybody."""
        return self.path / "r"

    @property
    def mark(self) -> tuple[str, str]:
        """The variable, with its value, that every process of this Ray is to have in its environment."""
        return _MARK, str(self.path)

    def end_processes(self) -> None:
        """End every process of this Ray that still runs."""
        for pid in pids_of(self.path):
            _kill(pid, self.path)

    def remove(self) -> None:
        """End every process of this Ray that still runs, and remove the folder."""
        self.end_processes()
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def pids_of(folder: Path) -> list[int]:
    """Return the processes of this user that were started for the Ray of a folder."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _is_of(path, folder)]


def clear_leftovers(place: Path) -> None:
    """End what searches that were killed have left running, and remove their folders."""
    for folder in place.glob(f"{PREFIX}*"):
        lock = _lock_of_dead(folder)
        if lock is None:
            continue

        for pid in pids_of(folder):
            _kill(pid, folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _places() -> list[Path]:
    """Return where a folder may be made, in the order of preference."""
    wanted = (os.environ.get("RAY_TMPDIR"), tempfile.gettempdir(), "/tmp", "/var/tmp")
    return list(dict.fromkeys(Path(place) for place in wanted if place))


def _make(places: Sequence[Path]) -> tuple[Path, int]:
    """Return a new folder and its lock, in the first place that is short enough and can be written to."""
    for place in places:
        if place.is_absolute() and len(os.fsencode(place)) <= MAX_PLACE_BYTES:
            clear_leftovers(place)
            try:
                return _make_in(place)
            except OSError:
                continue

    raise InputError(
        f"Ray needs a folder whose path has at most {MAX_PLACE_BYTES} bytes, as its sockets are below it, and none of "
        f"these can be used: {', '.join(map(str, places))}; name another one in RAY_TMPDIR"
    )


def _make_in(place: Path) -> tuple[Path, int]:
    """Return a new folder in a place, and its lock."""
    # Locked before it has its name: without a lock, another start would take it for a leftover.
    made = Path(tempfile.mkdtemp(prefix=".", dir=place))
    lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return made.rename(place / f"{PREFIX}{made.name.lstrip('.')}"), lock
    except OSError:
        os.close(lock)
        made.rmdir()
        raise


def _lock_of_dead(folder: Path) -> int | None:
    """Return the lock of a folder of ours whose search is dead; None for any other."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None

    status = os.fstat(descriptor)
    is_ours = status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == 0o700
    try:
        if is_ours:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
    except OSError:
        pass  # its search lives, or this file system has no locks: it is left alone
    os.close(descriptor)
    return None


def _is_of(process: Path, folder: Path) -> bool:
    """Return whether a process belongs to the Ray of a folder: its environment says so.

    Ray's agents and workers write their titles over their environment; they are known by their logs in the folder,
    or by the raylet that has started them.
    """
    try:
        parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        has_title = (process / "cmdline").read_bytes().startswith(b"ray::")
        is_own_user = process.stat().st_uid == os.geteuid()
    except OSError:
        return False  # it ended meanwhile, or is another user's
    if not is_own_user:
        return False
    return _is_marked(process, folder) or (
        has_title and (_is_marked(Path("/proc") / parent, folder) or _has_open(process, folder))
    )


def _is_marked(process: Path, folder: Path) -> bool:
    """Return whether a process has a folder's mark in its environment."""
    try:
        return f"{_MARK}={folder}".encode() in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False  # it ended meanwhile, or is another user's, as the parent of what was left behind may be


def _has_open(process: Path, folder: Path) -> bool:
    """Return whether a process has a file below a folder open."""
    try:
        return any(f"{descriptor.readlink()}".startswith(f"{folder}/") for descriptor in (process / "fd").iterdir())
    except OSError:
        return False  # it ended meanwhile


def _kill(pid: int, folder: Path) -> None:
    """Kill a process of a folder's Ray, and no other that has got its number meanwhile; return when it has ended.

    A signal only begins a process's end: until then it could still write into the folder that is removed next.
    """
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return

    try:
        if _is_of(Path(f"/proc/{pid}"), folder):
            signal.pidfd_send_signal(process, signal.SIGKILL)
            ended = select.poll()
            ended.register(process, select.POLLIN)
            ended.poll(_ENDED_WITHIN_MS)
    except ProcessLookupError:
        pass
    finally:
        os.close(process)
