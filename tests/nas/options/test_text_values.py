"""Options that are text or a path: they take any text, in the very spelling of the command line."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nas.options.command_line import compose
from nas.options.commands import COMMANDS, Command
from nas.setup import build_setup
from proxy_tasks.detection.task import DetectionProxy
from tests.conftest import TINY_LANDSCAPE, Run

NUMBERS = ("20260101", "007", "1e3", "1.", "2_024", "+5", "-5", ".5", "true", "False", "TRUE", "nan", "inf", "0x1f")


@pytest.mark.parametrize("text", NUMBERS)
def test_text_that_looks_like_a_number_keeps_its_spelling(text: str) -> None:
    config = compose("draw", [f"title={text}", f"out={text}"])
    assert (config["title"], config["out"]) == (text, text)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("config", ["run", "warm_start.run", "data.root", "executor.address"]),
        ("replay", ["task.cache_dir", "run"]),
        ("proxy", ["run", "study", "out", "task.cache_dir"]),
        ("prepare", ["data.root"]),
        ("export", ["run", "out"]),
        ("leaderboard", ["run", "sort", "where"]),
        ("report", ["run", "out"]),
    ],
)
def test_every_option_that_is_text_or_a_path_keeps_a_number_as_written(command: str, options: list[str]) -> None:
    config = compose(command, [f"{option}=1e3" for option in options])
    for option in options:
        node: Any = config
        for part in option.split("."):
            node = node[part]
        assert node == "1e3", option


@pytest.mark.parametrize("text", [r"a\b,c", r"a,b\\", 'say "so, again"', r"it's \"so\",", "a, b", "x=(y", "ü, ö"])
def test_text_that_needs_quotes_keeps_every_character(text: str) -> None:
    assert compose("draw", [f"title={text}"])["title"] == text


@pytest.mark.parametrize("text", ["[draft]", "{a: 1}", "int(3)"])
def test_a_title_may_look_like_a_list_or_a_call(text: str) -> None:
    assert compose("draw", [f"title={text}"])["title"] == text


def test_each_element_of_a_list_of_paths_keeps_its_spelling() -> None:
    assert compose("leaderboard", ["run=[2024, 1e3,runs/a]"])["run"] == ["2024", "1e3", "runs/a"]
    assert compose("config", ["warm_start.specs=[49]"])["warm_start"]["specs"] == ["49"]
    assert compose("proxy", ["runs=[2024,1e3]"])["runs"] == ["2024", "1e3"]


def test_null_and_numbers_stay_what_they_are() -> None:
    assert compose("draw", ["title=null", "width_px=200"]) == {**compose("draw", []), "width_px": 200}
    config = compose("config", ["limits.macs=5e9", "num_trials=3", "executor.timeout_s=60", "data.max_images=9"])
    assert (config["limits"]["macs"], config["num_trials"]) == (5e9, 3)
    assert (config["executor"]["timeout_s"], config["data"]["max_images"]) == (60, 9)
    assert compose("profile", ["image_size_px=[600,800]"])["image_size_px"] == [600, 800]
    assert compose("export", ["run=1", "trial=7"]) == {**compose("export", ["run=r"]), "run": "1", "trial": 7}


def test_a_number_reaches_what_refers_to_the_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    setup = build_setup(compose("config", ["task=detection", "data.root=2024"]))
    assert isinstance(setup.task, DetectionProxy)
    assert setup.task.data.root == tmp_path / "2024"  # type: ignore[attr-defined]  # it is a CocoFolder


def test_runs_and_files_may_be_called_by_numbers(call: Run, tmp_path: Path) -> None:
    numbered = [argument for argument in TINY_LANDSCAPE if not argument.startswith("run=")]
    assert call("nas.search", *numbered, "run=20260101").returncode == 0
    for module, *arguments in (
        ("nas.leaderboard", "run=20260101"),
        ("nas.export", "run=20260101", "out=2024"),
        ("nas.report", "run=[20260101]", "out=7"),
        ("nas.draw", "spec=spinenet-49", "title=49", "out=1e3", "format=svg"),
    ):
        done = call(module, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "2024").glob("*.json"))) == 3
    assert ">49<" in (tmp_path / "1e3" / "spinenet-49.svg").read_text()
    assert (tmp_path / "7").is_file()


def test_preparing_looks_up_types_without_torch() -> None:
    code = (
        "import sys; from nas.options.command_line import compose; "
        "compose('prepare', ['data.root=2024', 'data.max_images=9', 'controller=ppo', 'controller.clip=0.1']); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_table_of_commands_names_classes_that_there_are(command: Command) -> None:
    module, _, name = command.options.rpartition(".")
    assert hasattr(import_module(module), name)
    assert hasattr(import_module(f"nas.{command.name}"), "main")
