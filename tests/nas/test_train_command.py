"""The command nas.train: whole trainings of real detectors, stopped in every way, and what it refuses."""

import os
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.options.command_line import python_command
from nas.training.journal import read_events
from proxy_tasks.detection.detector_file import read_detector
from proxy_tasks.full_training.checkpoint import FOLDER
from tests.conftest import TINY_SEARCH, Run, start

# 12 steps of four images, in a few seconds.
TINY = (
    "experiment=quickstart_train",
    "run=full",
    "spec=spinenet-49",
    "device=cpu",
    "data.num_train_images=24",
    "data.num_val_images=6",
    "data.num_held_out=8",
    "data.image_size_px=64",
    "scale.image_size_px=64",
    "scale.width_multiplier=0.0625",
    "scale.endpoint_width=8",
    "scale.head_width=8",
    "scale.num_head_convs=1",
    "protocol.batch_size=4",
    "protocol.epochs=2",
    "protocol.ema_decay=0.9",
    "validate_every_epochs=1",
)
# A checkpoint after every step.
OFTEN = "checkpoint_every_min=0"


def states(folder: Path) -> dict[str, torch.Tensor]:
    found = read_detector(folder / "last.pt").states
    return {f"{which} {name}": tensor for which, state in found.items() for name, tensor in state.items()}


def measured(folder: Path) -> list[dict[str, float]]:
    return [event["metrics"] for event in read_events(folder) if event["event"] == "evaluated"]


def check_equal(first: Path, second: Path) -> None:
    a, b = states(first), states(second)
    assert list(a) == list(b)
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_a_training_leaves_a_detector_checkpoints_and_a_journal_and_is_not_trained_twice(
    tmp_path: Path, call: Run
) -> None:
    done = call("nas.train", *TINY)
    assert (done.returncode, done.stderr) == (0, "")
    assert "training on 24 images, 12 steps" in done.stdout
    assert "Detector: full/detector.pt" in done.stdout

    assert f"Curves:  {python_command()} -m tensorboard.main --logdir full/tensorboard" in done.stdout
    (curves,) = (tmp_path / "full" / "tensorboard" / "training").iterdir()
    shown = curves.read_bytes()

    events = read_events(tmp_path / "full")
    assert [event["event"] for event in events] == ["started", "evaluated", "evaluated", "finished"]
    assert [event["step"] for event in events[1:3]] == [6, 12]
    info = read_detector(tmp_path / "full" / "last.pt").info
    assert (info.run, info.weights, info.class_names) == ("full", "averaged", ("circle", "square", "triangle"))
    assert info.metrics["ap"] == events[2]["metrics"]["ap"]
    assert [path.name for path in (tmp_path / "full" / FOLDER).iterdir()] == ["step-000000012.pt"]

    again = call("nas.train", *TINY)
    assert (again.returncode, again.stderr) == (0, "")
    assert "all 12 steps are done" in again.stdout
    assert curves.read_bytes() == shown

    # From these weights to other classes: the head's last layer is new.
    tuned = [argument for argument in TINY if not argument.startswith(("scale.", "spec=", "experiment="))]
    others = ("data=shapes", "protocol=finetune", "weights=full", "run=tuned", "classes=ids", "cache_format=raw")
    done = call("nas.train", *tuned, *others)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(read_detector(tmp_path / "tuned" / "last.pt").info.class_names) == 4
    refused = call("nas.train", *TINY, "weights=full", "run=wide", "scale.head_width=16")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "weights=full/detector.pt are of another network" in refused.stderr

    check_refusals(tmp_path, call)


def check_refusals(folder: Path, call: Run) -> None:
    """Check that what does not go with a training, or is damaged, is one line and overwrites nothing."""
    before = kept_files(folder / "full")
    detector = (folder / "full" / "detector.pt").read_bytes()
    (folder / "short.pt").write_bytes(detector[: len(detector) // 2])
    torch.save({**torch.load(folder / "full" / "detector.pt", weights_only=True), "format": 2}, folder / "newer.pt")

    for changed, named in (
        # A checkpoint of another training.
        (("protocol.epochs=3",), "with protocol.epochs=2.0, and now protocol.epochs=3.0: give another run="),
        (
            ("protocol.schedule=cosine",),
            "a training with protocol.schedule=one_cycle, and now protocol.schedule=cosine",
        ),
        (("spec=r0-sp53",), "a training with spec="),
        (("scale.image_size_px=96",), "a training with scale.image_size_px=64, and now scale.image_size_px=96"),
        (("classes=ids",), "a training with classes=["),
        # Weights that cannot be used.
        (("run=new", "weights=full", "spec=r0-sp53"), "weights=full/detector.pt are of another network"),
        (("run=new", "weights=short.pt"), "short.pt is damaged"),
        (("run=new", "weights=newer.pt"), "newer.pt is of format 2, this version reads format 1: update"),
    ):
        refused = call("nas.train", *TINY, *changed)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert named in refused.stderr
    assert kept_files(folder / "full") == before
    assert kept_files(folder / "new").keys() <= {"training.jsonl"}

    (folder / "full" / "training.jsonl").write_bytes(b"{}\n" + before["training.jsonl"])
    refused = call("nas.train", *TINY)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "training.jsonl, line 1: is no event of a training" in refused.stderr


def kept_files(run: Path) -> dict[str, bytes]:
    """Return the files of a training that it could not do without."""
    paths = [path for path in run.rglob("*") if path.suffix in (".pt", ".jsonl")]
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(paths)}


def test_the_last_line_of_a_search_is_the_command_that_trains_its_winner(tmp_path: Path, call: Run) -> None:
    searched = call("nas.search", *TINY_SEARCH, "executor=local", "num_trials=1", "tracking=none")
    line = searched.stdout.splitlines()[-1]
    command = f"{python_command()} -m nas.train experiment=quickstart_train spec=run run=run_train"
    assert line.startswith(f"Train:   {command} ")

    # As it stands there, but for the time that it takes.
    done = call("nas.train", *shlex.split(line)[4:], "protocol.epochs=1")
    assert (done.returncode, done.stderr) == (0, "")
    info = read_detector(tmp_path / "run_train" / "detector.pt").info
    assert (info.search, info.trial, info.scale.image_size_px) == ("run", 0, 64)

    refused = call("nas.train", *TINY, "spec=null", "weights=run_train", "run=run")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "holds a search: give a training a folder of its own (run=...)" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("spec=null",), "spec: say what to train, by spec=, model= or weights="),
        (("device=cuda",), "device cuda: torch finds 0 GPUs on this machine"),
        (("processes=9",), "processes must be from 1 to 4 ("),
        (("spec=spinenet-48",), "unknown network 'spinenet-48'"),
        (("spec=runs/mine",), "no run at "),
        (
            ("spec=runs/quickstart",),
            "no run at runs/quickstart: python -m nas.search experiment=quickstart makes it; spec=spinenet-49 does",
        ),
        (("protocol.epochs=0",), "protocol: epochs must be from 1e-06"),
        (("protocol.schedule=step",), "protocol: decay_epochs must lie between 0 and epochs"),
    ],
)
def test_what_cannot_be_trained_is_one_line(call: Run, arguments: tuple[str, ...], message: str) -> None:
    done = call("nas.train", *TINY, *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr.replace(python_command(), "python")


@pytest.mark.long
@pytest.mark.parametrize(("processes", "num_kills"), [(1, 3), (2, 10)])
def test_a_training_that_is_killed_at_random_steps_ends_with_the_weights_of_one_that_is_not(
    tmp_path: Path, command: Run, processes: int, num_kills: int
) -> None:
    arguments = [*TINY, f"processes={processes}", "protocol.epochs=20"]
    done = command("nas.train", *arguments, "run=whole", timeout_s=600)
    assert (done.returncode, done.stderr) == (0, "")

    rng = np.random.default_rng(processes)
    for _ in range(num_kills):
        running = start("nas.train", [*arguments, "run=killed", OFTEN], tmp_path)
        step = wait_for_checkpoint(tmp_path / "killed", running.poll)
        time.sleep(float(rng.random()))
        victims = processes_below(running.pid) or [running.pid]
        os.kill(int(rng.choice(victims)), signal.SIGKILL)
        running.communicate(timeout=120)
        assert running.returncode != 0 or step == 120

    done = command("nas.train", *arguments, "run=killed", timeout_s=600)
    assert (done.returncode, done.stderr) == (0, "")
    check_equal(tmp_path / "whole", tmp_path / "killed")
    assert measured(tmp_path / "whole") == measured(tmp_path / "killed")


def test_sigterm_leaves_a_checkpoint_and_the_same_command_resumes(tmp_path: Path, call: Run) -> None:
    running = start("nas.train", [*TINY, "protocol.epochs=500"], tmp_path)
    until = time.monotonic() + 100
    while not (tmp_path / "full" / "detector.pt").exists() and time.monotonic() < until:
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    out, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (130, "")
    assert "stopped, with a checkpoint; the same command resumes" in out
    (kept,) = (tmp_path / "full" / FOLDER).iterdir()
    step = int(kept.stem.removeprefix("step-"))
    assert read_events(tmp_path / "full")[-1]["event"] == "stopped"
    assert step >= 6


def wait_for_checkpoint(run: Path, ended: Callable[[], int | None]) -> int:
    """Wait until a start of a training has written a checkpoint of its own; return its step."""
    before = last_step(run)
    until = time.monotonic() + 120
    while last_step(run) == before and time.monotonic() < until and ended() is None:
        time.sleep(0.05)
    return last_step(run)


def last_step(run: Path) -> int:
    names = sorted(path.stem for path in (run / FOLDER).glob("step-*.pt")) if (run / FOLDER).is_dir() else []
    return int(names[-1].removeprefix("step-")) if names else -1


def processes_below(parent: int) -> list[int]:
    """Return the processes that one has started, and itself."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children]
