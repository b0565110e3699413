"""The examples: small projects that a newcomer copies, installs and runs as their README says."""

import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.nas.interop.test_ray_tune import LANDSCAPE
from tests.nas.interop.test_tune_run import DRIVER
from tests.test_package import OFFLINE, ROOT, copied_project, pip

EXAMPLES = ROOT / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/pyproject.toml"))
PIP = ("install", *OFFLINE, "--ignore-installed")


def commands(name: str) -> list[list[str]]:
    """Return the commands in an example's README, as words."""
    block = re.search(r"```bash\n(.*?)```", (EXAMPLES / name / "README.md").read_text(), re.S)
    assert block is not None
    return [shlex.split(line) for line in block[1].splitlines()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = copied_project(tmp_path_factory.mktemp("source"))
    pip("wheel", *OFFLINE, "-w", "dist", ".", folder=source)
    return next((source / "dist").glob("*.whl"))


@pytest.fixture
def environment(wheel: Path, tmp_path: Path) -> Path:
    """Return a new virtual environment that has the wheel; PyTorch and the like are those of this one."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip("--python", str(folder / "bin" / "python"), *PIP, str(wheel), folder=tmp_path)
    return folder


@pytest.fixture
def installed(environment: Path, tmp_path: Path) -> Run:
    """Run a script of the environment; an example is installed where it was copied to."""

    # Nothing is found in the folder itself: only what was installed.
    (tmp_path / "elsewhere").mkdir()

    def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        folder = tmp_path / "copied"
        if script == "pip":
            assert arguments == ("install", ".")
            pip("--python", str(environment / "bin" / "python"), *PIP, ".", folder=folder)
            return subprocess.CompletedProcess([script], 0)

        # Python's own variables would lead to the sources.
        variables = {"PATH": f"{environment / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
        command = [str(environment / "bin" / script), *arguments]
        return subprocess.run(
            command, cwd=tmp_path / "elsewhere", env=variables, capture_output=True, text=True, check=False
        )

    return run


def test_there_is_an_example_of_each_part() -> None:
    assert NAMES == ["own_block_kind", "own_controller", "own_space", "own_task"]


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_an_example_that_is_copied_and_installed_runs_as_its_readme_says(
    name: str, installed: Run, tmp_path: Path
) -> None:
    shutil.copytree(EXAMPLES / name, tmp_path / "copied")
    for command in commands(name):
        done = installed(*command)
        assert done.returncode == 0, done.stderr
        assert not re.search("^failed:", done.stdout or "", re.MULTILINE)

    # The run is opened again by its folder alone.
    run = next(word for word in commands(name)[1] if word.startswith("run="))
    done = installed("python", "-m", "nas.search", run, "num_trials=101")
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.ray
def test_workers_of_ray_find_the_class_of_an_installed_example(installed: Run, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "own_task", tmp_path / "copied")
    install, search, *_ = commands("own_task")
    assert installed(*install).returncode == 0
    search = [word for word in search if not word.startswith(("executor=", "num_trials="))]
    done = installed(*search, "executor=ray", "executor.max_concurrent=1", "num_trials=3")
    assert done.returncode == 0, done.stderr
    assert "3 completed" in done.stdout


@pytest.mark.long
def test_the_notebook_runs_where_the_wheel_is_installed(installed: Run, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "run_from_python.ipynb", tmp_path / "elsewhere")
    code = (
        "import nas, nbformat; from nbclient import NotebookClient; print(nas.__file__)\n"
        "NotebookClient(nbformat.read('run_from_python.ipynb', 4), kernel_name='python3').execute()"
    )
    done = installed("python", "-P", "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "environment"))
    assert (tmp_path / "elsewhere" / "runs" / "from_python" / "journal.jsonl").is_file()
    # The examples themselves are no part of the wheel.
    assert not list((tmp_path / "environment").glob("lib/python*/site-packages/examples"))


@pytest.mark.long
@pytest.mark.ray
def test_tune_runs_where_the_wheel_is_installed(installed: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "driver.py").write_text(DRIVER)
    few = [option for option in LANDSCAPE if not option.startswith("num_trials=")]
    done = installed("python", "-P", "driver.py", *few, "num_trials=3")
    assert done.returncode == 0, done.stderr
    assert "errors 0" in done.stdout
