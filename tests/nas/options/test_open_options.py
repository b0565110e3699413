"""Names that no YAML lists: on the command line where a mapping is open, and in the help."""

import re
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from foundation import InputError
from nas.options.block_kinds import join_block_kinds
from nas.options.command_help import help_text
from nas.options.command_line import command_config, compose
from nas.options.listed import Option, open_mappings, option_names, options_in
from search_space.kinds import RESNET, BlockKind, added_kinds, remove_kind


def test_an_open_mapping_takes_names_that_the_yaml_does_not_list() -> None:
    config = compose("config", ["limits.energy_j=3", "limits.macs=5e9", "block_kinds.separable=mine.kinds.SEPARABLE"])
    assert config["limits"] == {"macs": 5e9, "params": None, "energy_j": 3}
    assert config["block_kinds"] == {"separable": "mine.kinds.SEPARABLE"}


def test_an_open_mapping_may_be_given_whole_and_keeps_what_is_not_named() -> None:
    config = compose("config", ["limits={energy_j:3,a.b:4}", "reward=targets", "reward={energy_j:{target:3}}"])
    assert config["limits"] == {"macs": None, "params": None, "energy_j": 3, "a.b": 4}
    assert config["reward"]["energy_j"] == {"target": 3}
    assert set(config["reward"]) == {"_target_", "metric", "macs", "params", "latency_ms", "energy_j"}
    with pytest.raises(InputError, match="unknown option fidelity"):
        compose("config", ["fidelity={energy_j:3}"])


def test_a_choice_that_is_open_takes_names_below_it_at_any_depth() -> None:
    config = compose("config", ["reward=targets", "reward.energy_j.target=3", "reward.energy_j.form=soft"])
    assert config["reward"]["energy_j"] == {"target": 3, "form": "soft"}


@pytest.mark.parametrize("name", ["energy_j", "fidelity.energy_j", "controller.energy_j", "limitss.energy_j"])
def test_names_elsewhere_are_still_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"unknown option {re.escape(name)}"):
        compose("config", [f"{name}=3"])


def test_a_listed_option_of_another_choice_is_still_told_apart() -> None:
    with pytest.raises(InputError, match=r"option reward\.macs\.target belongs to another choice of reward"):
        compose("config", ["reward.macs.target=3"])


def test_help_shows_an_open_mapping_with_its_explanation() -> None:
    text = help_text("config", "")
    assert re.search(r"^  limits\.NAME= +any cost of the task$", text, re.M)
    assert re.search(r"^      reward\.NAME= +any metric of the task, as reward\.energy_j\.target=3$", text, re.M)
    assert re.search(r"^  block_kinds\.NAME= +Kinds of blocks from outside", text, re.M)


@pytest.mark.parametrize("command", ["config", "replay", "prepare"])
def test_every_command_of_a_search_has_its_open_mappings(command: str) -> None:
    assert open_mappings(command) == {"limits", "block_kinds", "reward", "reward.weights"}


@pytest.mark.parametrize("command", ["draw", "profile", "report", "export", "leaderboard"])
def test_every_command_that_reads_specs_takes_kinds_of_ones_own(command: str) -> None:
    assert "block_kinds" in open_mappings(command)


def test_no_open_name_is_offered_in_place_of_an_unknown_one() -> None:
    assert not [name for name in option_names("config") if "NAME" in name]


# ---- A choice that includes the options of another group ----


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with a controller that includes a learner, as `--config-dir` takes it."""
    for group in ("controller", "teacher"):
        (tmp_path / group).mkdir()
    (tmp_path / "teacher" / "strict.yaml").write_text(
        "# A teacher.\n\n# Results for each update.\nbatch_size: 8\n# Speed.\nlearning_rate: 0.5\n"
    )
    (tmp_path / "controller" / "taught.yaml").write_text(
        "# A controller that is taught.\n"
        "defaults:\n  - /teacher@teacher: strict\n  - _self_\n\n"
        "_target_: controllers.RandomSearch\nspace: ${space}\n"
        "teacher:\n  learning_rate: 0.1\n  # Patience.\n  patience: 3\n# Steps.\nnum_epochs: 2\n"
    )
    return tmp_path


def test_options_of_an_included_file_are_listed_with_its_comments_and_the_overriding_defaults(mine: Path) -> None:
    assert options_in(mine / "controller" / "taught.yaml", [mine]) == [
        Option("teacher.patience", "3", "Patience."),
        Option("num_epochs", "2", "Steps."),
        Option("teacher.batch_size", "8", "Results for each update."),
        Option("teacher.learning_rate", "0.1", "Speed."),
    ]


def test_help_and_errors_know_the_options_of_an_included_file(mine: Path) -> None:
    text = help_text("config", "", [mine])
    assert re.search(r"^      controller\.teacher\.learning_rate=0\.1 +Speed\.$", text, re.M)
    assert re.search(r"^      controller\.teacher\.batch_size=8 +Results for each update\.$", text, re.M)
    with pytest.raises(InputError, match=r"did you mean controller\.teacher\.batch_size\?"):
        compose("config", ["--config-dir", str(mine), "controller=taught", "controller.teacher.batch_sise=2"])


def test_an_included_file_is_composed_below_its_name(mine: Path) -> None:
    overrides = ["controller=taught", "controller.teacher.patience=5"]
    config = compose("config", ["--config-dir", str(mine), *overrides])
    assert config["controller"]["teacher"] == {"batch_size": 8, "learning_rate": 0.1, "patience": 5}


# ---- Block kinds of one's own ----


SEPARABLE = BlockKind("separable", RESNET, "s", "octagon", expansion=1, cost=1, unit="mine_kinds.SeparableUnit")


@pytest.fixture
def own_kinds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module of somebody's own that holds kinds; the table is as it was afterwards."""
    own = types.ModuleType("mine_kinds")
    taken = replace(SEPARABLE, name="bottleneck")
    unit = type("SeparableUnit", (), {"forward": lambda self, x: x})
    own.__dict__.update(SEPARABLE=SEPARABLE, SeparableUnit=unit, BOTTLENECK=taken, WORD="separable")
    monkeypatch.setitem(sys.modules, "mine_kinds", own)
    yield
    remove_kind("separable")


@pytest.mark.usefixtures("own_kinds")
def test_a_kind_of_ones_own_joins_the_table() -> None:
    join_block_kinds({"separable": "mine_kinds.SEPARABLE"})
    assert added_kinds() == (SEPARABLE,)


@pytest.mark.usefixtures("own_kinds")
@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("separable", "nowhere.SEPARABLE", "block_kinds.separable: cannot import nowhere.SEPARABLE: No module named"),
        ("separable", "mine_kinds.OTHER", "block_kinds.separable: cannot import mine_kinds.OTHER: module 'mine_kinds'"),
        ("separable", "SEPARABLE", "block_kinds.separable: cannot import SEPARABLE: "),
        ("separable", "mine_kinds.WORD", "block_kinds.separable: mine_kinds.WORD is no BlockKind"),
        ("sep", "mine_kinds.SEPARABLE", "block_kinds.sep: mine_kinds.SEPARABLE is named 'separable'"),
        ("bottleneck", "mine_kinds.BOTTLENECK", "block_kinds.bottleneck: kind bottleneck: the name is taken"),
    ],
)
def test_a_kind_that_cannot_join_is_one_line(name: str, path: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        join_block_kinds({name: path})
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert not added_kinds()


@pytest.mark.usefixtures("own_kinds")
@pytest.mark.parametrize(
    ("command", "is_kept"), [("config", True), ("replay", True), ("prepare", True), ("draw", False), ("export", False)]
)
def test_commands_that_record_a_run_keep_its_kinds(command: str, is_kept: bool) -> None:
    needs = ["run=somewhere"] if command == "export" else []
    config = command_config(command, [*needs, "block_kinds.separable=mine_kinds.SEPARABLE"])
    assert ("block_kinds" in config) is is_kept
    assert added_kinds() == (SEPARABLE,)
