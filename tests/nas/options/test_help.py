"""Help as a person reads it: in the width of the terminal, whole or by group."""

import importlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from foundation import InputError
from nas.options.command_help import group_help, help_text
from nas.options.commands import COMMANDS, Command
from nas.options.flags import SHORT_FOR, flags_of
from nas.options.help_layout import filled
from tests.conftest import Run


def summary_of(command: Command) -> str:
    return str(importlib.import_module(f"nas.{command.name}").HELP)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_fits_the_terminal_and_says_the_same_in_any_width(command: Command) -> None:
    def words(width: int) -> list[str]:
        text = help_text(command.config_name, summary_of(command), width=width)
        assert max(len(line) for line in text.splitlines()) <= width
        return text.replace(" \\\n", " ").split()

    assert words(80) == words(100) == words(125) == words(160)


def test_a_broken_example_is_still_one_command() -> None:
    command = """  python -m nas.leaderboard run=runs/coco 'where="ap/traffic light">0.3' sort='-ap/traffic light'"""
    lines = filled(command, 60)
    assert len(lines) == 3
    assert max(len(line) for line in lines) <= 60
    printed = ["sh", "-c", f"printf '%s\\n' {chr(10).join(lines).strip()}"]
    assert subprocess.run(printed, capture_output=True, text=True, check=True).stdout.splitlines() == shlex.split(
        command
    )


def test_help_of_a_command_is_as_wide_as_its_terminal(call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ("80", "140"):
        monkeypatch.setenv("COLUMNS", columns)
        for module in (*(f"nas.{command.name}" for command in COMMANDS), "nas"):
            assert max(len(line) for line in call(module, "--help").stdout.splitlines()) <= int(columns)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_flag_that_is_short_for_an_option_is_in_the_help_and_sets_it(command: Command) -> None:
    for flag in flags_of(command.config_name):
        text = help_text(command.config_name, summary_of(command))
        assert f"  {', '.join(flag.names)} " in text
        assert {SHORT_FOR[name] for name in flag.names} == {f"{flag.option}={flag.value}"}
        assert re.search(rf"^  {re.escape(flag.option)}=", text, re.M)


def test_only_the_command_that_shows_images_has_a_flag_for_it(call: Run) -> None:
    assert "  --show " in call("nas.prepare", "--help").stdout
    composed = call("nas.prepare", "task=landscape", "--show", "--cfg")
    assert "show: training-samples.png" in composed.stdout.splitlines()
    refused = call("nas.search", "task=landscape", "--show")
    assert (refused.returncode, refused.stderr) == (2, "error: unknown flag --show; --help lists flags and options\n")


def test_help_can_be_asked_by_group(call: Run) -> None:
    done = call("nas.search", "--help", "controller")
    assert (done.returncode, done.stderr) == (0, "")
    assert "*controller=evolution " in done.stdout
    assert "controller.population_size=50 " in done.stdout
    assert "task=" not in done.stdout
    assert "num_trials" not in done.stdout

    # Options that are no choices have groups too, and several may be asked for.
    done = call("nas.search", "experiment=quickstart", "-h", "fidelity", "seed")
    assert "fidelity.epochs=5 " in done.stdout
    assert "  seed=0 " in done.stdout
    assert "limits" not in done.stdout
    assert "reward=tradeoff" in call("nas.leaderboard", "--help", "reward").stdout


def test_groups_of_ones_own_folder_are_in_the_help_by_group(tmp_path: Path) -> None:
    (tmp_path / "controller").mkdir()
    (tmp_path / "controller" / "hill.yaml").write_text("# Climb.\n_target_: hill.Climb\n# Patience.\npatience: 3\n")
    assert "controller.patience=3 " in group_help("config", "controller", (tmp_path,))


@pytest.mark.parametrize(("group", "nearest"), [("controler", "controller"), ("fidelty", "fidelity")])
def test_an_unknown_group_is_one_line_with_the_nearest(call: Run, group: str, nearest: str) -> None:
    done = call("nas.search", "--help", group)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: --help: no group {group}; there are space, controller, ")
    assert done.stderr.endswith(f"; did you mean {nearest}?\n")
    with pytest.raises(InputError, match="no group controller; there are spec, "):
        group_help("draw", "controller")
