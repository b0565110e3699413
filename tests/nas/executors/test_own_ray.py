"""The Ray that a search starts for itself: how it starts, what is said when it dies, and what is left of it."""

import gc
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
from ray._private import services

from foundation import InputError
from nas.executors.own_ray import OwnRay
from nas.executors.ray_folder import PREFIX, clear_leftovers, pids_of
from nas.record.journal import FILE_NAME, read_record
from tests.conftest import Run, start

pytestmark = pytest.mark.ray


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A place of the test's own for the folders of Ray, reached by a short name."""
    link = Path(f"/tmp/{os.getpid()}-{time.monotonic_ns() % 10**6}")
    link.symlink_to(tmp_path_factory.mktemp("ray"))
    monkeypatch.setenv("RAY_TMPDIR", str(link))
    yield link
    link.unlink()


def test_ray_is_tried_once_more_and_then_refused_in_one_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    num_tries = 0

    def too_busy(**options: str | bool) -> None:
        nonlocal num_tries
        num_tries += 1
        raise Exception("The current node timed out during startup.")  # as Ray does, after half a minute

    ray.shutdown()
    monkeypatch.setattr(ray, "init", too_busy)
    with pytest.raises(InputError, match=r"Ray cannot be started on this machine \(Exception: The current node timed"):
        OwnRay().__enter__()
    assert num_tries == 2
    assert list(place.iterdir()) == []


def running_search(folder: Path) -> "subprocess.Popen[str]":
    """Start a search without end, and return once it has its first result."""
    search = start("nas.search", ("task=landscape", "executor=ray", "num_trials=1000000", "run=run"), folder)
    journal = folder / "run" / FILE_NAME
    wait_for(lambda: journal.exists() and '"event":"told"' in journal.read_text(), 60)
    return search


def wait_for(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def process_of(folder: Path, name: str) -> int:
    """Return the process of a Ray whose command begins with a program or title of this name."""
    found: list[int] = []

    def is_there() -> bool:
        for pid in pids_of(folder):
            if Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0].strip().endswith(name):
                found.append(pid)
        return bool(found)

    wait_for(is_there, 20)
    return found[0]


@pytest.mark.long
@pytest.mark.parametrize(
    ("process", "named"),
    [
        ("gcs_server", "GCS"),
        ("raylet", "raylet"),
        ("ray::DashboardAgent", "dashboard agent"),
        ("ray::RuntimeEnvAgent", "runtime environment agent"),
    ],
)
def test_a_search_whose_ray_died_says_what_died_and_how_to_continue(
    place: Path, tmp_path: Path, process: str, named: str
) -> None:
    search = running_search(tmp_path)
    (folder,) = place.glob(f"{PREFIX}*")
    os.kill(process_of(folder, process), signal.SIGKILL)

    _, stderr = search.communicate(timeout=60)
    assert search.returncode == 2, stderr
    # Ray's own log may add lines while its parts die.
    last = [line for line in stderr.splitlines() if line.startswith("error: ")][-1]
    assert re.search(f"^error: Ray's .*{named}.* died; nothing is lost", last)
    assert last.endswith("-m nas.search task=landscape executor=ray num_trials=1000000 run=run")
    assert pids_of(folder) == []
    clear_leftovers(place)
    assert list(place.iterdir()) == []
    assert read_record(tmp_path / "run").told


@pytest.mark.long
def test_nothing_of_a_killed_search_runs_after_the_next_start(place: Path, tmp_path: Path, command: Run) -> None:
    search = running_search(tmp_path)
    (folder,) = place.glob(f"{PREFIX}*")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(pids_of(folder)) >= 4
    search.kill()
    search.communicate()

    num_trials = len(read_record(tmp_path / "run").trials) + 3
    done = command("nas.search", "task=landscape", "executor=ray", f"num_trials={num_trials}", "run=run")
    assert done.returncode == 0, done.stderr
    assert pids_of(folder) == []
    assert list(place.iterdir()) == []


# Ray drops the processes of a start that fails without having waited for them; Python warns when it clears them away.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.long
def test_a_ray_that_is_not_up_in_time_is_started_again(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Before the program of Ray's head stands one that ends in its place the first time. A head that is killed from
    # outside may have been connected to already, and then Ray ends this very process without a word.
    before = tmp_path / "before"
    before.write_text(f'#!/bin/sh\nmkdir {tmp_path}/begun && exit 1\nexec {services.GCS_SERVER_EXECUTABLE} "$@"\n')
    before.chmod(0o755)
    monkeypatch.setattr(services, "GCS_SERVER_EXECUTABLE", str(before))

    ray.shutdown()
    with OwnRay() as own:
        assert (tmp_path / "begun").exists()
        own.check()
        assert ray.is_initialized()
    assert list(place.iterdir()) == []

    # Here, and not within the next test.
    gc.collect()
