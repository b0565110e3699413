"""Standard output and error that cannot be written, with the real things: pipes, disks and terminals."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TWO_LINES = """
import sys
from nas.options.output import Output
output = Output(is_needed={is_needed})
print("first", flush=True)
print("second")
loss = output.loss()
print(f"lost: {{loss and loss.strerror}}", file=sys.stderr)
"""


def unwritable(kind: str) -> int:
    """Return a descriptor to which nothing can be written."""
    if kind == "full disk":
        return os.open("/dev/full", os.O_WRONLY)
    reader, writer = pty.openpty() if kind == "closed terminal" else os.pipe()
    os.close(reader)
    return writer


def printed(stdout: int, *, is_needed: bool) -> subprocess.CompletedProcess[str]:
    """Return what a process leaves that prints two lines into a descriptor."""
    code = TWO_LINES.format(is_needed=is_needed)
    done = subprocess.run([sys.executable, "-c", code], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    os.close(stdout)
    return done


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("closed pipe", "Broken pipe"),
        ("full disk", "No space left on device"),
        ("closed terminal", "Input/output error"),
    ],
)
def test_what_cannot_be_printed_is_lost_and_told_once(kind: str, reason: str) -> None:
    done = printed(unwritable(kind), is_needed=False)
    told, at_end = done.stderr.splitlines()
    assert told.startswith(f"standard output cannot be written ({reason})")
    assert at_end == f"lost: {reason}"
    # An interpreter that cannot write what is left at its end has a status of its own.
    assert done.returncode == 0


def test_a_command_that_needs_its_output_is_left_to_say_so_itself() -> None:
    assert printed(unwritable("full disk"), is_needed=True).stderr == "lost: No space left on device\n"


def test_output_that_can_be_written_is_written(tmp_path: Path) -> None:
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    assert printed(file, is_needed=False).stderr == "lost: None\n"
    assert (tmp_path / "log").read_text() == "first\nsecond\n"


def test_a_disk_that_has_room_again_is_written_again(tmp_path: Path, small_disk: Path) -> None:
    filler, log = small_disk / "filler", small_disk / "log"
    log.touch()
    filler.write_bytes(b"x" * 60_000)
    code = f"""
import os
from nas.options.output import Output
Output(is_needed=False)
print("lost" * 10_000, flush=True)
os.truncate({str(filler)!r}, 0)
print("seen", flush=True)
"""
    with log.open("wb") as file:
        done = subprocess.run([sys.executable, "-c", code], stdout=file, stderr=subprocess.PIPE, check=False)
    assert b"No space left on device" in done.stderr
    assert log.read_text().endswith("seen\n")


def test_a_pipe_that_does_not_block_loses_nothing() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    code = "from nas.options.output import Output; Output(is_needed=True); print('x' * 1_000_000)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=writer) as process:
        os.close(writer)
        with open(reader, "rb") as file:
            assert len(file.read()) == 1_000_001
    assert process.returncode == 0


def test_no_file_takes_the_place_of_a_closed_output(tmp_path: Path) -> None:
    code = f"""
import os
from nas.options.output import Output
Output(is_needed=True)
file = open({str(tmp_path / "journal")!r}, "w")
print("a line for nobody")
print(file.fileno() > 2, file=file)
"""
    subprocess.run(["sh", "-c", 'exec "$0" -c "$1" >&- 2>&-', sys.executable, code], check=True)
    assert (tmp_path / "journal").read_text() == "True\n"


@pytest.mark.parametrize(
    ("kind", "status", "errors"),
    [
        ("closed pipe", 128 + signal.SIGPIPE, ""),
        ("full disk", 2, "error: cannot write standard output: No space left on device\n"),
    ],
)
def test_a_command_that_is_there_for_its_output_fails_without_it(kind: str, status: int, errors: str) -> None:
    stdout = unwritable(kind)
    done = subprocess.run([sys.executable, "-m", "nas"], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    os.close(stdout)
    assert (done.returncode, done.stderr) == (status, errors)


def test_a_mistake_keeps_its_status_though_nobody_can_be_told() -> None:
    stderr = unwritable("full disk")
    assert subprocess.run([sys.executable, "-m", "nas", "nonsense"], stderr=stderr, check=False).returncode == 2
    os.close(stderr)
