"""What may be loaded to answer a person at once."""

import subprocess
import sys
from pathlib import Path

import pytest


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(' '.join(sys.modules))"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_search_space_loads_no_heavy_library() -> None:
    assert not {"torch", "ray", "hydra", "rich", "pandas"} & modules_after("import search_space")


@pytest.mark.parametrize("command", ["search", "leaderboard", "replay", "export"])
def test_help_loads_no_heavy_library(command: str) -> None:
    code = (
        f"import runpy, sys\nsys.argv = ['x', '--help']\n"
        f"try: runpy.run_module('nas.{command}', run_name='__main__')\n"
        f"except SystemExit as end: assert end.code == 0"
    )
    assert not {"torch", "ray", "hydra", "pandas"} & modules_after(code)


def test_preparing_data_loads_no_heavy_library() -> None:
    assert not {"torch", "torchvision", "ray", "hydra"} & modules_after("import nas.prepare")


def test_the_proxy_task_and_its_benchmarks_need_neither_ray_nor_hydra() -> None:
    names = ("training", "training_throughput", "loader", "average_precision", "proxy_agreement")
    code = f"import proxy_tasks.detection, {', '.join(f'benchmarks.{name}' for name in names)}"
    assert not {"ray", "hydra", "omegaconf"} & modules_after(code)
