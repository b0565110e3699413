"""The list of commands, and each of them by its name."""

import os
import re
import sys

import pytest

from nas.options.commands import COMMANDS
from nas.options.listed import EXPERIMENTS
from tests.conftest import Run

VERSION = r"spinenet-search(, used from a folder without being installed| \d+\.\d+\.\d+)\n"


@pytest.fixture(autouse=True)
def _path_of_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_without_a_command_all_are_listed_with_a_line_each(call: Run, arguments: tuple[str, ...]) -> None:
    done = call("nas", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    for command in COMMANDS:
        assert f"  {command.name} " in done.stdout
        assert command.purpose in done.stdout


def test_every_command_of_the_package_is_listed() -> None:
    files = {path.stem for path in (EXPERIMENTS.parent / "nas").glob("*.py")}
    with_help = {name for name in files if "run_command(" in (EXPERIMENTS.parent / "nas" / f"{name}.py").read_text()}
    assert {command.name for command in COMMANDS} == with_help


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_answers_version(call: Run, command: str) -> None:
    for module, *arguments in ((f"nas.{command}", "--version"), ("nas", command, "--version"), ("nas", "--version")):
        done = call(module, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(VERSION, done.stdout)


def test_a_command_by_its_name_is_the_module_of_that_name(call: Run) -> None:
    assert call("nas", "draw", "spec=spinenet-49", "out=a.svg").stdout == "a.svg\n"
    assert call("nas", "draw", "--help").stdout == call("nas.draw", "--help").stdout
    assert call("nas", "draw", "colour=red").stderr == "error: unknown option colour; --help lists them\n"


def test_an_unknown_command_is_one_line_with_the_nearest(call: Run) -> None:
    done = call("nas", "leaderbord")
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: unknown command leaderbord; there are search, .*; did you mean leaderboard\?\n", done.stderr
    )


def test_a_search_by_its_name_runs_workers_of_its_own(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(EXPERIMENTS.parent), os.environ.get("PYTHONPATH", "")]))
    done = command("nas", "search", "task=landscape", "executor=local", "run=r", "num_trials=3")
    assert done.returncode == 0, done.stderr
    assert "3 completed" in done.stdout
