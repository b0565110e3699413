"""The wheel: everything in it, and it works from another folder."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nas.options.commands import COMMANDS
from search_space import published_names, published_spec

ROOT = Path(__file__).parents[1]
PACKAGES = ("nas", "controllers", "proxy_tasks", "search_space", "foundation", "experiments")
PARTS = ("pyproject.toml", "README.md", "LICENSE", *PACKAGES)
OFFLINE = ("--no-deps", "--no-build-isolation", "--no-index")
"""What pip is told, to do with what there is on this machine alone."""

SEARCH = ("task=landscape", "executor=local", "tracking=none", "num_trials=2", "run=r")


def pip(*arguments: str, folder: Path) -> None:
    """Run pip in a folder."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def copied_project(folder: Path) -> Path:
    """Copy what the wheel is built from, so that nothing is built beside it, and return the folder."""
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / part)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the package is installed in."""
    source = copied_project(tmp_path_factory.mktemp("source"))
    target = tmp_path_factory.mktemp("installed") / "site"
    pip("install", *OFFLINE, "--target", str(target), ".", folder=source)
    return target


@pytest.mark.slow
def test_the_wheel_runs_a_search_from_another_folder(site: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = os.environ | {"PYTHONPATH": str(site)}
    code = "import nas, experiments, search_space; print(nas.__file__, experiments.__file__)"
    where = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
    )
    assert where.stdout.count(str(site)) == 2
    arguments = ["experiment=quickstart", "task=landscape", "executor=local", "num_trials=3", "run=r"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "nas.search", *arguments],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "3 completed" in done.stdout
    assert (elsewhere / "r" / "journal.jsonl").exists()
    for package in PACKAGES:
        assert (site / package / "py.typed").is_file()

    def installed(*command: str) -> subprocess.CompletedProcess[str]:
        script = str(site / "bin" / "spinenet-search")
        return subprocess.run(
            [script, *command], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
        )

    assert [line.split()[0] for line in installed().stdout.splitlines()[-len(COMMANDS) :]] == [
        one.name for one in COMMANDS
    ]
    assert installed("search", "--version").stdout == installed("--version").stdout == "spinenet-search 0.1.0\n"
    done = installed("search", *arguments[:-1], "run=by_script")
    assert done.returncode == 0, done.stderr
    asked = [
        [line for line in (elsewhere / run / "journal.jsonl").read_text().splitlines() if '"asked"' in line]
        for run in ("r", "by_script")
    ]
    assert len(asked[0]) == 3
    assert [json.loads(line)["key"] for line in asked[0]] == [json.loads(line)["key"] for line in asked[1]]

    # A module of somebody's own is found in the folder that the command starts in, as python -m finds it.
    (elsewhere / "mine.py").write_text("KIND = 1\n")
    done = installed("draw", "spec=spinenet-49", "block_kinds.x=mine.KIND")
    assert done.stderr == "error: block_kinds.x: mine.KIND is no BlockKind\n"
    published = (
        "from search_space import published_names as names, published_spec as spec; "
        "print(*sorted({spec(name).key for name in names()}))"
    )
    names = subprocess.run(
        [sys.executable, "-P", "-c", published],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert names.stdout.split() == sorted({published_spec(name).key for name in published_names()})


def started(site: Path, folder: Path, *command: str, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{path}{os.pathsep * bool(path)}{site}"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def with_packages(folder: Path, *names: str) -> Path:
    """Make packages of somebody else's in a folder; to import one is an error."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise RuntimeError('{name} is not ours')\n")
    return folder


def test_configurations_are_found_though_another_package_has_their_name(site: Path, tmp_path: Path) -> None:
    with_packages(tmp_path, "experiments")
    done = started(site, tmp_path, sys.executable, "-m", "nas.search", *SEARCH)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 completed" in done.stdout


@pytest.mark.parametrize("name", ["controllers", "foundation"])
def test_a_package_that_hides_one_of_ours_is_named_with_its_folder(site: Path, tmp_path: Path, name: str) -> None:
    folder = with_packages(tmp_path / "mine", name)
    message = rf"error: {folder}/{name} hides the package {name} of spinenet-search, which is in {site}: "

    done = started(site, folder, sys.executable, "-m", "nas.search", *SEARCH)
    assert done.returncode == 2
    assert re.fullmatch(message + "start in another folder, or with spinenet-search, which .*\n", done.stderr)

    script = str(site / "bin" / "spinenet-search")
    done = started(site, tmp_path, script, "--version", path=str(folder))
    assert done.returncode == 2
    assert re.fullmatch(message + f"take {folder} out of PYTHONPATH\n", done.stderr)

    # A program of somebody's own is not ended.
    done = started(site, folder, sys.executable, "-c", "try: import nas\nexcept ImportError as e: print('error:', e)")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(message, done.stdout)


def test_the_script_runs_where_packages_have_our_names_and_proposes_itself(site: Path, tmp_path: Path) -> None:
    folder = with_packages(tmp_path, "experiments", "controllers", "nas", "proxy_tasks", "search_space", "foundation")
    done = started(site, folder, str(site / "bin" / "spinenet-search"), "search", *SEARCH)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 completed" in done.stdout
    assert "Report:  spinenet-search report run=r\n" in done.stdout
    assert "python -m nas" not in done.stdout


@pytest.mark.ray
@pytest.mark.long
def test_workers_import_our_packages_where_others_have_their_names(site: Path, tmp_path: Path) -> None:
    folder = with_packages(tmp_path, "controllers", "nas", "proxy_tasks", "search_space", "foundation")
    options = (*SEARCH, "executor=ray", "executor.max_concurrent=1")
    done = started(site, folder, str(site / "bin" / "spinenet-search"), "search", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 completed" in done.stdout
