"""The command nas.train search=...: the best of a search, one after another and side by side on a real Ray cluster."""

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from nas.options.command_line import compose
from nas.record.architecture import highest_ranked
from nas.record.journal import read_record
from nas.training.journal import TrainingJournal, read_events
from proxy_tasks.detection.detector_file import read_detector
from tests.conftest import TINY_LANDSCAPE, Run, start
from tests.nas.test_train_command import TINY, last_step

WINNERS = (*TINY[:1], "run=winners", "spec=null", *TINY[3:], "search=run", "top=2")


def best(run: Path) -> list[int]:
    return [trial.number for trial in highest_ranked(read_record(run), run, 2)]


def rows(out: str) -> list[list[str]]:
    """Return the rows of the table of results."""
    table = out[out.index("Best of run, trained in full") :].splitlines()[2:4]
    return [re.split(r"\s{2,}", row.strip()) for row in table]


def events(folder: Path, name: str) -> list[int]:
    return [event["step"] for event in read_events(folder) if event["event"] == name]


def test_winners_that_are_trained_are_passed_over_with_a_line_and_nothing_else_may_be_named(
    call: Run, tmp_path: Path
) -> None:
    call("nas.search", *TINY_LANDSCAPE, "tracking=none")
    first, second = best(tmp_path / "run")
    config = {name: value for name, value in compose("train", WINNERS).items() if name != "experiment"}
    for number, ap in ((first, 0.25), (second, 0.5)):
        with TrainingJournal(tmp_path / "winners" / f"run-{number}") as journal:
            journal.append("started", step=0, num_steps=12, config=config)
            journal.append("evaluated", step=12, epoch=2.0, metrics={"ap": ap})
            journal.append("finished")

    done = call("nas.train", *WINNERS)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"run-{first}: trained already, AP 0.2500\nrun-{second}: trained already, AP 0.5000\n" in done.stdout
    assert [(row[0], *row[2:]) for row in rows(done.stdout)] == [
        (f"run-{first}", "0.2500", f"winners/run-{first}"),
        (f"run-{second}", "0.5000", f"winners/run-{second}"),
    ]
    assert not (tmp_path / "data").exists()

    for arguments, message in (
        (("spec=spinenet-49",), "search: trains the best of a run, so spec=spinenet-49 must be left out, or be null"),
        (("model=r50-fpn",), "search: trains the best of a run, so model=r50-fpn must be left out"),
        (("top=0",), "top must be from 1 to "),
        (("search=nowhere",), "nowhere"),
        (("search=null", "spec=spinenet-49", "executor=ray"), "executor: runs the trainings of search="),
        (("scale.image_size_px=9",), "image_size_px must be from 32 to 8192"),
    ):
        refused = call("nas.train", *WINNERS, *arguments)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert message in refused.stderr


@pytest.mark.long
def test_winners_are_trained_one_after_another_and_the_same_command_resumes(tmp_path: Path, command: Run) -> None:
    command("nas.search", *TINY_LANDSCAPE, "tracking=none")
    names = [f"run-{number}" for number in best(tmp_path / "run")]

    # Stopped in the first one.
    arguments = [*WINNERS, "protocol.epochs=40", "validate_every_epochs=20"]
    running = start("nas.train", arguments, tmp_path)
    until = time.monotonic() + 100
    while not (tmp_path / "winners" / names[0] / "tensorboard").exists() and time.monotonic() < until:
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    out, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (130, "")
    assert "stopped, with a checkpoint; the same command resumes" in out
    step = last_step(tmp_path / "winners" / names[0])
    assert 0 < step < 240
    assert not (tmp_path / "winners" / names[1]).exists()

    done = command("nas.train", *arguments, timeout_s=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert events(tmp_path / "winners" / names[0], "started") == [0, step]
    assert [row[0] for row in rows(done.stdout)] == names
    for name in names:
        info = read_detector(tmp_path / "winners" / name / "last.pt").info
        assert (info.name, info.search, f"run-{info.trial}") == (name, "run", name)

    # With other options they are not passed over, and each says what differs.
    refused = command("nas.train", *WINNERS, "protocol.epochs=41", "validate_every_epochs=20")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "2 of 2 trainings failed" in refused.stderr
    assert refused.stdout.count("of a training with protocol.epochs=40.0, and now protocol.epochs=41.0") == 2


@pytest.fixture
def cluster() -> Iterator[str]:
    """A Ray cluster of two processors; yields the address of its head."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def workers() -> list[int]:
    """Return the processes of the actors that hold a training."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "cmdline").read_bytes().startswith(b"ray::Worker.run"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.ray
@pytest.mark.long
def test_over_ray_winners_are_trained_side_by_side_and_one_whose_actor_was_killed_is_resumed(
    tmp_path: Path, command: Run, cluster: str
) -> None:
    command("nas.search", *TINY_LANDSCAPE, "tracking=none")
    folders = [tmp_path / "winners" / f"run-{number}" for number in best(tmp_path / "run")]
    arguments = [*WINNERS, "protocol.epochs=100", "executor=ray", f"executor.address={cluster}"]
    running = start("nas.train", arguments, tmp_path)
    until = time.monotonic() + 200
    while not all((folder / "tensorboard").exists() for folder in folders) and time.monotonic() < until:
        time.sleep(0.1)
        assert running.poll() is None
    assert len(workers()) == 2
    os.kill(workers()[0], signal.SIGKILL)

    out, errors = running.communicate(timeout=400)
    print(out, file=sys.stderr)
    assert (running.returncode, errors) == (0, "")
    assert out.count("the worker's process died on ") == 1
    assert out.count("; resumed from its last checkpoint") == 1
    starts = sorted(events(folder, "started") for folder in folders)
    assert starts[0] == [0]
    assert starts[1][0] == 0 < starts[1][1] < 600
    assert [row[3] for row in rows(out)] == [f"winners/{folder.name}" for folder in folders]
    for folder in folders:
        assert read_events(folder)[-1]["event"] == "finished"
        assert read_detector(folder / "last.pt").info.recipe["step"] == 600
