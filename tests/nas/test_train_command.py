"""The command nas.train: whole trainings of real detectors, stopped in every way, and what it refuses."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.options.invocation import python_command
from nas.training.journal import read_events
from proxy_tasks.base import silent
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection.detector import load_detector
from proxy_tasks.detection.detector_file import read_detector
from proxy_tasks.full_training.checkpoint import FOLDER
from proxy_tasks.networks.torch_file import read_torch_file
from search_space import ArchSpec
from search_space.kinds import remove_kind
from tests.conftest import TINY_DETECTOR, TINY_SEARCH, Run, start
from tests.search_space.test_kind_from_outside import MODULE

# 12 steps of four images, in a few seconds.
TINY = (
    "experiment=quickstart_train",
    "run=full",
    "spec=spinenet-49",
    "device=cpu",
    *TINY_DETECTOR,
    "protocol.batch_size=4",
    "protocol.epochs=2",
    "protocol.ema_decay=0.9",
    "validate_every_epochs=1",
)
# A space whose blocks may be of a kind of somebody's own.
SPACE = "space.kinds=[bottleneck,separable]"
# A checkpoint after every step.
OFTEN = "checkpoint_every_min=0"


def states(folder: Path) -> dict[str, torch.Tensor]:
    found = read_detector(folder / "last.pt").states
    return {f"{which} {name}": tensor for which, state in found.items() for name, tensor in state.items()}


def measured(folder: Path) -> list[dict[str, float]]:
    return [event["metrics"] for event in read_events(folder) if event["event"] == "evaluated"]


def check_equal(first: Path, second: Path) -> None:
    check_equal_states(states(first), states(second))


def check_equal_states(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert list(first) == list(second)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_a_training_leaves_a_detector_checkpoints_and_a_journal_and_is_not_trained_twice(
    tmp_path: Path, call: Run
) -> None:
    prepared = call("nas.train", *TINY, "prepare_only=true")
    assert (prepared.returncode, prepared.stderr) == (0, "")
    assert prepared.stdout.count("decoding images") == 2
    assert not (tmp_path / "full").exists()

    done = call("nas.train", *TINY)
    assert (done.returncode, done.stderr) == (0, "")
    assert "decoding" not in done.stdout
    assert "training on 24 images, 12 steps" in done.stdout
    assert "Detector: full/detector.pt" in done.stdout

    assert f"Curves:  {python_command()} -m tensorboard.main --logdir full/tensorboard" in done.stdout
    (curves,) = (tmp_path / "full" / "tensorboard" / "training").iterdir()
    shown = curves.read_bytes()

    events = read_events(tmp_path / "full")
    assert [event["event"] for event in events] == ["started", "evaluated", "evaluated", "finished"]
    assert [event["step"] for event in events[1:3]] == [6, 12]
    info = read_detector(tmp_path / "full" / "last.pt").info
    assert (info.run, info.weights, info.class_names) == ("full", "averaged", ("shape",))
    assert info.metrics["ap"] == events[2]["metrics"]["ap"]
    assert [path.name for path in (tmp_path / "full" / FOLDER).iterdir()] == ["step-000000012.pt"]

    again = call("nas.train", *TINY)
    assert (again.returncode, again.stderr) == (0, "")
    assert "all 12 steps are done" in again.stdout
    assert curves.read_bytes() == shown

    # From these weights to other classes, on 40 photos: the head's last layer is new.
    photos = foreign_set(tmp_path / "photos")
    tuned = ("weights=full", "protocol=finetune", "protocol.epochs=4", "data.root=photos", "run=tuned")
    done = call("nas.train", *tuned, "device=cpu", "protocol.norm_epsilon=1e-4")
    assert (done.returncode, done.stderr) == (0, "")
    assert "training on 40 images, 12 steps" in done.stdout
    half_width = f"{0.98 / photos**0.5:.2f}"
    assert f"AP is measured on {photos} objects: it may be {half_width} off (95 %), and smaller diff" in done.stdout
    assert read_detector(tmp_path / "tuned" / "last.pt").info.class_names == ("bolt", "nut", "washer")
    # A network is used with the epsilon that it was trained with.
    for name, epsilon in (("full", 1e-3), ("tuned", 1e-4)):
        network = load_detector(tmp_path / name).network
        assert {norm.eps for norm in network.modules() if isinstance(norm, torch.nn.BatchNorm2d)} == {epsilon}
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
        (("longest_side_px=48",), "a training with longest_side_px=1280, and now longest_side_px=48"),
        (("classes=ids",), "a training with classes=["),
        (("data.seed=1", "data.root=others"), "is of a training on other training annotations: their content had"),
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
    # All of these read one cache of every image size, but for that of another bound.
    sizes = {path.parent.name.split("px")[0] for path in (folder / "data" / "cache").glob("*px-native-*/cache.json")}
    assert {size.rsplit("-")[-1] for size in sizes} == {"1280", "48"}

    # The same data elsewhere is no other.
    (folder / "data" / "shapes-64").rename(folder / "moved")
    moved = call("nas.train", *TINY, "data.root=moved")
    assert (moved.returncode, moved.stderr) == (0, "")
    assert "all 12 steps are done" in moved.stdout


def test_images_are_prepared_before_a_training_without_torch_or_a_word_on_what_is_trained(
    tmp_path: Path, command: Run
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('not on this machine')\n")
    data = [option for option in TINY_DETECTOR if option.startswith("data.")]
    done = command("nas.train", "prepare_only=true", "data=shapes", *data)
    assert (done.returncode, done.stderr) == (0, "")
    for split, number in (("train", 24), ("val", 6)):
        assert f"\n{split}: {number} images, " in done.stdout
        assert f"/data/cache/{split}2017-1280px-native-" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["data", "torch.py"]


@pytest.mark.long
def test_preparing_that_is_stopped_says_so_and_the_same_command_resumes(tmp_path: Path, command: Run) -> None:
    Shapes(tmp_path / "coco", num_train_images=800, num_val_images=1, image_size_px=256, num_held_out=8).folder(silent)
    # Smaller than the files, whose bytes are not taken then.
    arguments = ["prepare_only=true", "data.root=coco", "longest_side_px=250"]
    running = start("nas.train", arguments, tmp_path)
    begun = "data/cache/train2017-*.part/progress.jsonl"
    while not any(path.stat().st_size for path in tmp_path.glob(begun)):
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (130, "stopped; the same command resumes\n")
    (part,) = (path.parent for path in tmp_path.glob(begun))

    # What was made is kept as it is, and is the beginning of the whole.
    first = (part / "images").read_bytes()
    done = command("nas.train", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    (images,) = tmp_path.glob("data/cache/train2017-250px-native-*/images")
    assert images.read_bytes()[:1000] == first[:1000] != b""


def test_a_damaged_journal_is_refused_before_anything_is_written(tmp_path: Path, call: Run) -> None:
    event = b'{"event": "stopped", "time": 1.0}\n'
    (tmp_path / "full").mkdir()
    journal = tmp_path / "full" / "training.jsonl"
    for damaged, number in ((event + b"{}\n" + event, 2), (b"notes of mine", 1)):
        journal.write_bytes(damaged)
        refused = call("nas.train", *TINY)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert f"full/training.jsonl, line {number}: is no event of a training; put back what " in refused.stderr
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [journal]
        assert journal.read_bytes() == damaged


def kept_files(run: Path) -> dict[str, bytes]:
    """Return the files of a training that it could not do without."""
    paths = [path for path in run.rglob("*") if path.suffix in (".pt", ".jsonl")]
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(paths)}


@pytest.fixture
def own_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A kind of block of somebody's own in the current folder; yields the argument that names it."""
    (tmp_path / "separable_blocks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "block_kinds.separable=separable_blocks.SEPARABLE"
    remove_kind("separable")
    sys.modules.pop("separable_blocks", None)


def test_the_last_line_of_a_search_is_the_command_that_trains_its_winner(
    tmp_path: Path, call: Run, own_kind: str
) -> None:
    searched = call("nas.search", *TINY_SEARCH, "executor=local", "num_trials=1", "tracking=none", own_kind, SPACE)
    line = searched.stdout.splitlines()[-1]
    command = f"{python_command()} -m nas.train experiment=quickstart_train spec=run run=run_train"
    assert line.startswith(f"Train:   {command} ")
    assert line.endswith(f" {own_kind}")

    # As it stands there, but for the time that it takes.
    done = call("nas.train", *shlex.split(line)[4:], "protocol.epochs=1")
    assert (done.returncode, done.stderr) == (0, "")
    info = read_detector(tmp_path / "run_train" / "detector.pt").info
    assert (info.search, info.trial, info.scale.image_size_px) == ("run", 0, 64)
    assert isinstance(info.architecture, ArchSpec)
    assert "separable" in {block.kind for block in info.architecture.blocks}

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
        (("longest_side_px=7",), "longest_side_px must be from 32 to 65500 (no JPEG is larger), got 7"),
        (("spec=runs/mine",), "no run at "),
        (
            ("spec=runs/quickstart",),
            "no run at runs/quickstart: python -m nas.search experiment=quickstart makes it; spec=spinenet-49 does",
        ),
        (
            ("head=mask_rcnn",),
            "head=mask_rcnn: data=shapes has no masks; data=shapes_masks is the same data with masks",
        ),
        (
            ("head=classifier",),
            "head=classifier: images of data=shapes have several objects; data=class_shapes has one",
        ),
        (("data=class_shapes",), "head=retinanet: images by class have no boxes; head=classifier"),
        (("protocol.epochs=0",), "protocol: epochs must be from 1e-06"),
        (("protocol.schedule=step",), "protocol: decay_epochs must lie between 0 and epochs"),
    ],
)
def test_what_cannot_be_trained_is_one_line(call: Run, arguments: tuple[str, ...], message: str) -> None:
    done = call("nas.train", *TINY, *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr.replace(python_command(), "python")


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_a_training_that_is_killed_at_ten_random_steps_ends_with_the_weights_of_one_that_is_not(
    tmp_path: Path, command: Run, processes: int
) -> None:
    arguments = [*TINY, f"processes={processes}", "protocol.epochs=10", "validate_every_epochs=2"]
    done = command("nas.train", *arguments, "run=whole", timeout_s=600)
    assert (done.returncode, done.stderr) == (0, "")

    # Of two processes each is killed five times, at steps out of the 60.
    rng = np.random.default_rng(processes)
    for number, step in enumerate(np.sort(rng.choice(np.arange(1, 56), 10, replace=False))):
        running = start("nas.train", [*arguments, "run=killed", OFTEN], tmp_path)
        wait_for_checkpoint(tmp_path / "killed", int(step), running.poll)
        time.sleep(float(rng.random()) / 20)
        victims = processes_below(running.pid) if processes > 1 else [running.pid]
        os.kill(victims[number % processes], signal.SIGKILL)

        _, errors = running.communicate(timeout=300)
        assert running.returncode == (2 if processes > 1 else -signal.SIGKILL)
        said = f"error: process {number % processes} of 2 was ended by SIGKILL; the same command resumes\n"
        assert errors == (said if processes > 1 else "")

    done = command("nas.train", *arguments, "run=killed", timeout_s=600)
    assert (done.returncode, done.stderr) == (0, "")
    check_equal(tmp_path / "whole", tmp_path / "killed")
    assert measured(tmp_path / "whole") == measured(tmp_path / "killed")
    starts = [event["step"] for event in read_events(tmp_path / "killed") if event["event"] == "started"]
    assert len(set(starts)) == 11


# Two processes may also be resumed as one.
@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_sigterm_leaves_a_checkpoint_and_the_same_command_resumes(tmp_path: Path, call: Run, processes: int) -> None:
    arguments = [*TINY, "protocol.epochs=8", "validate_every_epochs=2"]
    running = start("nas.train", [*arguments, f"processes={processes}"], tmp_path)
    until = time.monotonic() + 100
    while not (tmp_path / "full" / "detector.pt").exists() and time.monotonic() < until:
        time.sleep(0.01)
    running.send_signal(signal.SIGTERM)
    out, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (130, "")
    assert "stopped, with a checkpoint; the same command resumes" in out
    (kept,) = (tmp_path / "full" / FOLDER).iterdir()
    step = last_step(tmp_path / "full")
    assert 12 <= step < 48
    assert kept.stem == f"step-{step:09d}"

    done = call("nas.train", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"training on 24 images, 48 steps, resumed at step {step}" in done.stdout
    events = [event for event in read_events(tmp_path / "full") if event["event"] != "evaluated"]
    assert [(event["event"], event.get("step")) for event in events] == [
        ("started", 0),
        ("stopped", None),
        ("started", step),
        ("finished", None),
    ]


@pytest.mark.long
def test_a_process_that_cannot_start_is_one_line_ends_all_and_overwrites_nothing(tmp_path: Path, command: Run) -> None:
    done = command("nas.train", *TINY)
    assert done.returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "full").rglob("*") if path.is_file()}

    # As where a library is missing on one machine.
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if os.environ.get('RANK') == '1':\n"
        "    print('libcuda.so: cannot open shared object file', file=sys.stderr, flush=True)\n"
        "    os._exit(1)\n"
    )
    folders = f"{tmp_path / 'broken'}:{os.environ.get('PYTHONPATH', '')}"
    running = start("nas.train", [*TINY, "processes=2"], tmp_path, PYTHONPATH=folders)
    _, errors = running.communicate(timeout=300)
    assert running.returncode == 2
    assert errors == "error: process 1 of 2: libcuda.so: cannot open shared object file\n"
    assert {path: path.read_bytes() for path in (tmp_path / "full").rglob("*") if path.is_file()} == before
    assert [name for name in commands_in(tmp_path) if "nas.train" in name] == []


def foreign_set(root: Path) -> int:
    """Draw 40 images to train on and 10 for validation, of other classes; return the number of the latter's objects."""
    folder = Shapes(root, num_train_images=40, num_val_images=10, image_size_px=64, num_held_out=1).folder(silent)
    for split in ("train", "val"):
        file, _ = folder.paths(split)
        content = json.loads(file.read_text())
        for category, name in zip(content["categories"], ("bolt", "nut", "washer"), strict=True):
            category["name"] = name
            category["id"] *= 7
        for annotation in content["annotations"]:
            annotation["category_id"] *= 7
        file.write_text(json.dumps(content))
    return len(content["annotations"])


def commands_in(folder: Path) -> list[str]:
    """Return the command lines of the processes that have been started in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_text())
    return found


TORCHRUN = "torch.distributed.run"


@pytest.mark.long
def test_torchrun_and_slurm_start_a_training_of_two_processes(tmp_path: Path, command: Run) -> None:
    two = [*TINY, "protocol.ema_decay=null"]
    done = command("nas.train", *two, "processes=2", "run=own", timeout_s=300)
    assert (done.returncode, done.stderr) == (0, "")

    # As `torchrun --nproc-per-node=2 -m nas.train` does.
    done = command(
        TORCHRUN, "--standalone", "--nproc-per-node=2", "-m", "nas.train", *two, "run=torchrun", timeout_s=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("training on 24 images, 12 steps") == 1
    check_equal(tmp_path / "own", tmp_path / "torchrun")

    # As srun sets it, with a port that is free.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    slurm = {
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_JOB_ID": "4711",
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": "1",
    }
    tasks = [
        start("nas.train", [*two, "run=slurm"], tmp_path, **slurm, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank))
        for rank in range(2)
    ]
    said = [task.communicate(timeout=300) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    assert "Detector: slurm/detector.pt" in said[0][0]
    assert said[1] == ("", "")
    check_equal(tmp_path / "own", tmp_path / "slurm")


@pytest.mark.long
def test_a_disk_that_fills_up_keeps_the_checkpoint_before_and_the_training_goes_on(
    tmp_path: Path, small_disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    run = small_disk / "full"
    running = start("nas.train", [*TINY, "protocol.epochs=12", f"run={run}", OFTEN], tmp_path)
    assert running.stdout is not None
    wait_for_checkpoint(run, 7, running.poll)
    fill_between_writes(running, small_disk)

    # Each step says so, and so does each measurement of AP that is the best so far.
    lines = iter(running.stdout.readline, "")
    refused = list(islice((line for line in lines if line.startswith("no checkpoint at step ")), 3))
    assert all("the one before stays: cannot write " in line for line in refused)
    kept = last_step(run)
    assert f"no checkpoint at step {kept + 1}," in refused[0]
    read_torch_file(run / FOLDER / f"step-{kept:09d}.pt")

    (small_disk / "filler").unlink()
    rest, errors = running.communicate(timeout=300)
    assert (running.returncode, errors) == (0, "")
    assert "Detector: " in rest
    assert last_step(run) == 72
    events = read_events(run)
    assert [event["step"] for event in events if event["event"] == "evaluated"] == list(range(6, 73, 6))
    assert len([event for event in events if event["event"] == "remark"]) >= 3


def fill_between_writes(running: subprocess.Popen[str], disk: Path) -> None:
    """Fill the disk of a training while it writes nothing, and so cannot find space in what it removes."""
    while running.poll() is None:
        running.send_signal(signal.SIGSTOP)
        is_writing = list(disk.rglob("*.part")) or len(list(disk.rglob("step-*.pt"))) > 2
        if not is_writing:
            with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
                while filler.write(bytes(4096)):
                    pass
        running.send_signal(signal.SIGCONT)
        if not is_writing:
            return
        time.sleep(0.01)


def wait_for_checkpoint(run: Path, step: int, ended: Callable[[], int | None]) -> None:
    """Wait until a start of a training has written the checkpoint of a step, or a later one."""
    until = time.monotonic() + 300
    while last_step(run) < step and time.monotonic() < until and ended() is None:
        time.sleep(0.01)
    assert last_step(run) >= step


def last_step(run: Path) -> int:
    names = sorted(path.stem for path in (run / FOLDER).glob("step-*.pt")) if (run / FOLDER).is_dir() else []
    return int(names[-1].removeprefix("step-")) if names else -1


def processes_below(parent: int) -> list[int]:
    """Return the processes that one has started, in their order."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children]
