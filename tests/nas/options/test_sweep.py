"""Sweeps of a command line: which values Hydra's grammar lists, and the folder that each combination has."""

import re
from itertools import product
from pathlib import Path

import pytest

from foundation import InputError
from nas.options.experiments import command_choices
from nas.options.sweep import MAX_COMBINATIONS, combinations_of
from tests.conftest import Run


def texts(*arguments: str) -> list[str]:
    return [str(combination) for combination in combinations_of(arguments, "config")]


def test_the_values_of_all_options_are_combined_the_last_option_fastest() -> None:
    combinations = combinations_of(["task=landscape", "controller=random,evolution", "-q", "seed=1,2"], "config")
    assert [one.arguments for one in combinations] == [
        ("task=landscape", f"controller={controller}", "-q", f"seed={seed}")
        for controller, seed in product(("random", "evolution"), (1, 2))
    ]
    assert [one.folder_name for one in combinations] == [
        "random-seed-1",
        "random-seed-2",
        "evolution-seed-1",
        "evolution-seed-2",
    ]


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("seed=1,2,3", ["1", "2", "3"]),
        ("seed=range(1,4)", ["1", "2", "3"]),
        ("task.noise=range(0,0.5,0.25)", ["0.0", "0.25"]),
        ("controller=choice(random,grid)", ["random", "grid"]),
        ("seed=choice(7)", ["7"]),
        ("seed=sort(3,1,2)", ["1", "2", "3"]),
        ("stopping.shares=[],[0.25,0.5]", ["[]", "[0.25,0.5]"]),
        ("limits={macs:1},{macs:2,params:3}", ["{macs:1}", "{macs:2,params:3}"]),
        ("warm_start.run=null,'a,b'", ["null", "'a,b'"]),
        ("+limits.energy_j=3,4", ["3", "4"]),
    ],
)
def test_values_are_what_hydra_s_grammar_lists(argument: str, values: list[str]) -> None:
    name = argument.partition("=")[0]
    assert [one.arguments for one in combinations_of([argument], "config")] == [
        (f"{name}={value}",) for value in values
    ]


def test_a_pattern_lists_the_choices_of_a_group_and_of_experiments_those_of_the_command(tmp_path: Path) -> None:
    assert texts("controller=glob([p*,ran*],exclude=ppo)") == ["controller=pareto_evolution", "controller=random"]

    (tmp_path / "controller").mkdir()
    (tmp_path / "controller" / "random_mine.yaml").write_text("# Mine.\n")
    found = combinations_of(["controller=glob(ran*)"], "config", [tmp_path])
    assert [str(one) for one in found] == ["controller=random", "controller=random_mine"]

    experiments = [path.stem for path in command_choices("config", "experiment")]
    assert "quickstart_train" not in experiments
    assert texts("experiment=glob(*)") == [f"experiment={name}" for name in experiments]


@pytest.mark.parametrize("argument", ["targets=[1,2]", "limits={macs:1,params:2}", "warm_start.run='a,b'", "seed=1"])
def test_lists_mappings_and_text_in_quotes_are_one_value(argument: str) -> None:
    assert texts(argument, "seed=1,2" if argument != "seed=1" else "num_trials=1,2") != []
    with pytest.raises(InputError, match="-m runs one search after another, and needs an option with several values"):
        combinations_of([argument], "config")


def test_the_name_of_a_folder_depends_on_the_values_alone_and_not_on_their_order_or_on_other_values() -> None:
    few = {str(one): one.folder_name for one in combinations_of(["seed=1,2", "controller=random"], "config")}
    more = {str(one): one.folder_name for one in combinations_of(["controller=random", "seed=2,3,1"], "config")}
    assert few.items() <= more.items()

    other = combinations_of(["controller=random,grid", "seed=1,2"], "config")
    turned = combinations_of(["seed=1,2", "controller=random,grid"], "config")
    assert {one.folder_name for one in other} == {one.folder_name for one in turned}


def test_values_that_are_no_file_names_have_names_that_differ_and_fit() -> None:
    paths = ["/data/a", "/data-a", "data/a", "..", "'a b'", "[]", "[1]", "{a:1}", "x" * 300, "x" * 301]
    names = [one.folder_name for one in combinations_of([f"data.root={','.join(paths)}"], "config")]
    assert len(set(names)) == len(paths)
    assert all(re.fullmatch(r"data\.root-[\w.-]+", name) and len(name) <= 130 for name in names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seed=1"], "needs an option with several values, as seed=1,2,3, "),
        (["seed=interval(0,1)"], r"seed=interval\(0,1\) has no values that can be listed; give some, as seed=1,2,3"),
        (["seed=range(3,1)"], r"seed=range\(3,1\) holds no value"),
        (["seed=glob(*)"], r"seed=glob\(\*\) holds no value"),
        (["controller=glob(x*)"], "holds no value"),
        (["seed=1,2", "seed=3"], "seed is given twice"),
        (["seed=1,1"], "seed=1 is there twice; each search needs a folder of its own, seed-1 here"),
        (["run=a,b"], "run takes one value, all searches lie below it"),
        (["verbosity=quiet,normal"], "verbosity takes one value"),
        (["data.root=~/a,~/b"], r"data\.root=~/a,~/b cannot be read; put each value in quotes, as data\.root='~/a','"),
        (["seed=range(0,10**9)"], "cannot be read"),
        (["seed=range(0,1000000000)"], f"{MAX_COMBINATIONS + 1:,} combinations or more"),
        (["seed=range(0,1000)", "num_trials=range(0,1000)"], "1,000,000 combinations or more"),
    ],
)
def test_what_cannot_be_swept_is_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=f"^-m.*{message}"):
        combinations_of(arguments, "config")


def test_other_commands_say_which_one_takes_the_flag(call: Run) -> None:
    for flag in ("-m", "--multirun"):
        for module in ("nas.leaderboard", "nas.replay", "nas.train"):
            done = call(module, "run=absent", flag)
            assert done.returncode == 2
            assert re.fullmatch(r"error: -m is for nas\.search, .*: python -m nas\.search -m seed=1,2,3\n", done.stderr)
            assert call(module, "--help", flag).returncode == 0
