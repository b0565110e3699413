"""The wheel: everything in it, and it works from another folder."""

import json
import os
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


@pytest.mark.slow
def test_the_wheel_runs_a_search_from_another_folder(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    install = ["install", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(tmp_path / "site")]
    subprocess.run([*pip, *install, str(source)], check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    code = "import nas, experiments, search_space; print(nas.__file__, experiments.__file__)"
    where = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
    )
    assert where.stdout.count(str(tmp_path / "site")) == 2
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
        assert (tmp_path / "site" / package / "py.typed").is_file()

    def installed(*command: str) -> subprocess.CompletedProcess[str]:
        script = str(tmp_path / "site" / "bin" / "spinenet-search")
        return subprocess.run(
            [script, *command], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
        )

    assert [line.split()[0] for line in installed().stdout.splitlines()[-8:]] == [one.name for one in COMMANDS]
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
