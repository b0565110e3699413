"""A search whose output goes away: it ends where it was to end, and a closed terminal stops it as SIGTERM does."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from nas.record.journal import FILE_NAME, Journal, read_record
from tests.conftest import TINY_LANDSCAPE, Run


def num_told(run: Path) -> int:
    journal = run / FILE_NAME
    return journal.read_text().count('"event":"told"') if journal.exists() else 0


def begin_in_terminal(folder: Path, *arguments: str, hangup: signal.Handlers) -> tuple[subprocess.Popen[bytes], int]:
    """Start a search in a terminal of its own, wait for two results, and return it with the terminal's other end."""
    master, terminal = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, hangup)

    process = subprocess.Popen(
        [sys.executable, "-m", "nas.search", *arguments],
        cwd=folder,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(terminal)

    while num_told(folder / "run") < 2:
        # What nobody reads fills the terminal, and the search would wait.
        if select.select([master], [], [], 0.02)[0]:
            os.read(master, 65536)
        assert process.poll() is None
    return process, master


def test_a_search_goes_on_when_its_reader_has_seen_enough_and_the_disk_of_its_errors_is_full(tmp_path: Path) -> None:
    with (
        open("/dev/full", "wb") as full,
        subprocess.Popen(
            [sys.executable, "-m", "nas.search", *TINY_LANDSCAPE], cwd=tmp_path, stdout=subprocess.PIPE, stderr=full
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"[1/5] trial 0")
        process.stdout.close()
    assert process.returncode == 0
    assert len(read_record(tmp_path / "run").told) == 5
    assert len(list((tmp_path / "run" / "best").iterdir())) == 3


@pytest.mark.parametrize("executor", ["local", pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.long])])
def test_a_closed_terminal_ends_a_search_as_sigterm_does(tmp_path: Path, executor: str) -> None:
    arguments = (*TINY_LANDSCAPE, f"executor={executor}", "num_trials=100000")
    process, master = begin_in_terminal(tmp_path, *arguments, hangup=signal.SIG_DFL)
    os.close(master)
    assert process.wait(timeout=60) == 130
    assert len(list((tmp_path / "run" / "best").iterdir())) >= 2
    with Journal(tmp_path / "run", {}) as journal:
        assert all(trial.failure is None for trial in journal.record.trials.values())


@pytest.mark.long
def test_a_search_that_ignores_the_end_of_its_terminal_goes_on_without_it(tmp_path: Path) -> None:
    # As nohup starts commands.
    process, master = begin_in_terminal(tmp_path, *TINY_LANDSCAPE, "num_trials=30", hangup=signal.SIG_IGN)
    os.close(master)
    assert process.wait(timeout=60) == 0
    assert len(read_record(tmp_path / "run").told) == 30


def test_a_search_that_is_stopped_says_by_what_and_leaves_running_trials_open(tmp_path: Path) -> None:
    arguments = (*TINY_LANDSCAPE, "num_trials=100000")
    process = subprocess.Popen(
        [sys.executable, "-m", "nas.search", *arguments], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    while num_told(tmp_path / "run") < 1:
        time.sleep(0.02)
    # The system and the shell both tell of a terminal's end: the second time cuts nothing off.
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "\nstopped by SIGHUP" in stdout
    assert "\nBest of run" in stdout


def test_a_table_is_cut_off_by_its_reader_without_a_word(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *TINY_LANDSCAPE).returncode == 0
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "nas.leaderboard", "run=run"]
    done = subprocess.run(command, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")
