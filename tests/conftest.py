"""What several tests share: a small search that really trains, and the command line as a user has it."""

import os
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import hypothesis
import pytest

# Read when Ray is imported: the clusters that tests start stay on loopback; see nas/executors/ray_cluster.py.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
# Read when Triton is imported: without a GPU its interpreter runs our kernels, on tensors of this processor.
if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Tests run side by side, one on each core: with a thread a core in each, torch's threads wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# On a busy machine any example may take a second.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

Run: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]

# Few images, and the smallest network.
TINY_DETECTOR = (
    "data.num_train_images=24",
    "data.num_val_images=6",
    "data.num_held_out=8",
    "data.image_size_px=64",
    "scale.image_size_px=64",
    "scale.width_multiplier=0.0625",
    "scale.endpoint_width=8",
    "scale.head_width=8",
    "scale.num_head_convs=1",
)
# Real training of real detectors on real files, as small as it gets: about a second a trial.
TINY_SEARCH = (
    "experiment=quickstart",
    "run=run",
    "num_trials=4",
    *TINY_DETECTOR,
    "recipe.batch_size=4",
    "fidelity.epochs=0.5",
    "baselines=false",
    "controller.population_size=2",
    "controller.tournament_size=1",
)
TINY_LANDSCAPE = ("task=landscape", "executor=local", "run=run", "num_trials=5")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if on_gpu:
        import torch

        if not torch.cuda.is_available():
            for item in on_gpu:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def command(tmp_path: Path) -> Run:
    """Run `python -m MODULE ARGUMENTS` in an empty folder, as a user does."""

    def run(module: str, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Do what `command` does in this process, which spares the seconds that a new one takes to start."""

    def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        capsys.readouterr()
        # runpy says that the module is loaded already, which does not matter: all state is in the run folder.
        warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(module, run_name="__main__")
        shown = capsys.readouterr()
        status = ended.value.code
        assert isinstance(status, int)
        return subprocess.CompletedProcess([module, *arguments], status, shown.out, shown.err)

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KB; a limit on file size stands in for it in the tests of the journal, where nobody may mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    # Lazily: a test that has failed may still hold a file of it open.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def start(module: str, arguments: Sequence[str], folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a command in a process group of its own, listening to Ctrl-C, and return at once.

    A suite that a shell started in the background ignores SIGINT, and so would every process it starts.
    """
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
