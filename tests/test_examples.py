"""The projects in examples/: each is copied elsewhere, installed beside the wheel, and run as its README says."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_package import ROOT, pip_install, site

__all__ = ["site"]
EXAMPLES = ROOT / "examples"
PROJECTS = sorted(path.parent.name for path in EXAMPLES.glob("*/pyproject.toml"))


def test_there_is_a_project_for_each_part_that_people_write() -> None:
    assert PROJECTS == ["own_block_kind", "own_controller", "own_space", "own_task"]
    assert all(len((EXAMPLES / name / "README.md").read_text().splitlines()) <= 15 for name in PROJECTS)


@pytest.mark.long
@pytest.mark.parametrize("name", PROJECTS)
def test_an_example_that_is_copied_and_installed_does_what_its_readme_says(
    site: Path,  # a fixture
    tmp_path: Path,
    name: str,
) -> None:
    copied, installed, elsewhere = tmp_path / "mine", tmp_path / "installed", tmp_path / "elsewhere"
    shutil.copytree(EXAMPLES / name, copied)
    elsewhere.mkdir()
    pip_install(copied, installed)

    first, *commands = _commands(EXAMPLES / name / "README.md")
    assert first == "pip install ."
    assert len(commands) >= 2
    environment = os.environ | {"PYTHONPATH": f"{installed}{os.pathsep}{site}"}
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "python"
        # Without -P the folder of this test's process would be on the path.
        done = subprocess.run(
            [sys.executable, "-P", *words[1:]],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert not re.search("^failed:", done.stdout, re.MULTILINE), done.stdout


def _commands(readme: Path) -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", readme.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]
