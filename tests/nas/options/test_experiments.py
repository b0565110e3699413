"""Each command lists the experiments that are for it, and one of another command ends with the right command."""

import re
from pathlib import Path

import pytest

from foundation import InputError
from nas.options.command_help import group_help
from nas.options.command_line import compose
from nas.options.experiments import command_choices
from nas.options.listed import choice_files
from tests.conftest import Run

CONFIGS = {"search": "config", "prepare": "prepare", "replay": "replay", "proxy": "proxy", "train": "train"}


def names(config_name: str, *extra_dirs: Path) -> set[str]:
    return {path.stem for path in command_choices(config_name, "experiment", extra_dirs)}


def test_each_command_lists_the_experiments_whose_heads_name_it_and_no_others() -> None:
    heads = {path.stem: path.read_text() for path in choice_files("experiment")}
    for command in ("search", "train"):
        own = {name for name, text in heads.items() if f"#   python -m nas.{command} experiment={name}" in text}
        assert own
        assert names(CONFIGS[command]) == own
        assert set(re.findall(r"(?m)^ [ *]experiment=(\w+) ", group_help(CONFIGS[command], "experiment"))) == own
    # What prepares, replays and studies searches takes theirs.
    assert names("prepare") == names("replay") == names("proxy") == names("config")


@pytest.mark.parametrize(
    ("command", "experiment", "right"),
    [("search", "quickstart_train", "train"), ("replay", "quickstart_train", "train"), ("train", "spinenet", "search")],
)
def test_an_experiment_of_another_command_is_one_line_with_the_right_command(
    call: Run, tmp_path: Path, command: str, experiment: str, right: str
) -> None:
    refused = call(f"nas.{command}", f"experiment={experiment}", "run=run")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert refused.stderr.startswith(f"error: experiment={experiment} is for nas.{right}: ")
    assert refused.stderr.endswith(f" -m nas.{right} experiment={experiment}\n")
    assert not any(tmp_path.iterdir())


def test_an_experiment_of_ones_own_is_for_the_commands_that_have_what_it_sets(tmp_path: Path) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    for name, text in (
        ("of_both", "seed: 3\n"),
        ("of_train", "defaults:\n  - override /protocol: c\n"),
        ("of_search", "defaults:\n  - of_both\nnum_trials: 7\n"),
        ("of_none", "num_trails: 7\n"),
        ("broken", "seed: [3\n"),
        ("circle", "defaults:\n  - circle_too\n"),
        ("circle_too", "defaults:\n  - circle\n"),
        ("no_list", "defaults: 5\n"),
    ):
        (folder / f"{name}.yaml").write_text(f"# @package _global_\n{text}")

    of_all = {"of_both", "of_none", "broken", "circle", "circle_too", "no_list"}
    assert names("config", tmp_path) - names("config") == of_all | {"of_search"}
    assert names("train", tmp_path) - names("train") == of_all | {"of_train"}
    assert compose("train", [f"--config-dir={tmp_path}", "experiment=of_both"])["seed"] == 3
    for choice in ("of_search", "[of_search]"):
        with pytest.raises(InputError, match=r"is for nas\.search: .* nas\.search --config-dir \S+ experiment="):
            compose("train", [f"--config-dir={tmp_path}", f"experiment={choice}"])
