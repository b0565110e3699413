"""The folder of a search's own Ray: its place, who may enter it, and what is left of a search that was killed."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation import InputError
from nas.executors.ray_folder import MAX_PLACE_BYTES, RayFolder

KILLED_SEARCH = """
import os, subprocess, sys
from nas.executors.ray_folder import RayFolder
folder = RayFolder()
left = subprocess.Popen(["sleep", "1000"], env=dict([folder.mark]), stdout=subprocess.DEVNULL)
print(folder.path, left.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for folders with the longest name that there may be."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        made = Path(folder) / ("x" * (MAX_PLACE_BYTES - len(folder) - 1))
        made.mkdir()
        monkeypatch.setenv("RAY_TMPDIR", str(made))
        yield made


def test_the_sockets_of_ray_fit_and_nobody_else_may_enter(place: Path) -> None:
    folder = RayFolder()
    assert folder.path.parent == place
    # As in Ray's node.py; process numbers have at most seven digits on Linux.
    socket = folder.path_of_ray / "session_2026-11-26_04-14-08_123456_4194304" / "sockets" / "plasma_store.1"
    assert len(os.fsencode(socket)) == 107
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.remove()
    assert list(place.iterdir()) == []


def test_a_temporary_folder_with_a_long_name_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long_name = tmp_path / ("x" * 44)
    long_name.mkdir()
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(long_name))
    monkeypatch.setattr(tempfile, "tempdir", None)
    folder = RayFolder()
    assert folder.path.parent == Path("/tmp")
    folder.remove()


def test_without_a_place_there_is_one_line_that_names_those_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.executors.ray_folder._places", lambda: [Path("/proc/1"), Path("/tmp/" + "x" * 60)])
    with pytest.raises(InputError, match=r"at most \d\d bytes.* none of these can be used: /proc/1, /tmp/x+; name"):
        RayFolder()


def test_the_next_start_ends_what_a_killed_search_left_and_nothing_else(place: Path) -> None:
    def search() -> tuple[subprocess.Popen[str], Path, int]:
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED_SEARCH], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        folder, pid = process.stdout.readline().split()  # type: ignore[union-attr]  # it is a pipe
        return process, Path(folder), int(pid)

    killed, folder_of_killed, left = search()
    alive, folder_of_alive, working = search()
    log = folder_of_killed / "raylet.out"
    log.write_text("up\n")
    reader = subprocess.Popen(["tail", "-f", log], stdout=subprocess.PIPE, text=True)
    try:
        # It has the file open: one that comes too late finds none, and ends by itself.
        assert reader.stdout is not None
        assert reader.stdout.readline() == "up\n"
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        RayFolder().remove()

        assert not is_alive(left)
        assert not folder_of_killed.exists()
        assert is_alive(working)
        assert folder_of_alive.exists()
        assert reader.poll() is None
    finally:
        for process in (alive, reader):
            process.kill()
            process.communicate()
        RayFolder().remove()
    assert not is_alive(working)


def test_a_process_that_takes_long_to_end_is_awaited_before_its_folder_goes(place: Path) -> None:
    # The system takes a while to take back so much memory: the signal alone left it alive.
    holds_memory = "import time; held = bytearray(b'x') * 500_000_000; print(flush=True); time.sleep(1000)"
    folder = RayFolder()
    process = subprocess.Popen([sys.executable, "-c", holds_memory], env=dict([folder.mark]), stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        folder.remove()
        assert not is_alive(process.pid)
    finally:
        process.kill()
        process.communicate()


def test_a_folder_of_that_name_that_others_may_write_to_is_left_alone(place: Path) -> None:
    theirs = place / "nas-ray-abcdefgh"
    theirs.mkdir(mode=0o755)
    linked = place / "nas-ray-12345678"
    linked.symlink_to(Path.home())
    RayFolder().remove()
    assert theirs.exists()
    assert linked.is_symlink()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
