"""The options on record as a command line: what is taken, what must be given again, and that nothing is imported."""

import copy
from collections.abc import Callable, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from foundation import InputError
from nas.options.command_line import compose
from nas.options.listed import choice_files
from nas.record.identity import ADDED_SINCE, present_options

OnRecord = Callable[[Path], Mapping[str, Any] | None]

CHANGED = (
    *("num_trials=7", "seed=3", "fidelity.epochs=0.5", "fidelity.max_train_images=1000", "limits.macs=5e9"),
    *("limits.energy_j=3", "warm_start.specs=[spinenet-49,'a b.json']", "promotion.num_rungs=2", "failures.nan=retry"),
    *('data.root=/data/it\'s [mine], "2024"', "space.window=null", "scale.width_multiplier=1e-7", "max_reused_share=1"),
)
GROUPS = ("space", "controller", "task", "data", "scale", "recipe", "reward", "executor", "tracking")


def record_of(config: Mapping[str, Any]) -> OnRecord:
    recorded = {**ADDED_SINCE, **present_options(config)}
    return lambda folder: recorded


def without_run(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in ("run", "verbosity")}


def test_every_choice_and_value_on_record_comes_back() -> None:
    choices = [[f"{group}={path.stem}" for path in choice_files(group)] for group in GROUPS]
    for chosen in zip_longest(*choices):
        given = [choice for choice in chosen if choice]
        has_window = "window" in compose("config", given)["space"]
        changed = [one for one in CHANGED if has_window or not one.startswith("space.window")]
        config = compose("config", [*given, *changed, "run=a", "verbosity=quiet"])
        taken = compose("config", ["run=b"], record_of(config))
        assert without_run(taken) == without_run(config), given
        assert (taken["run"], taken["verbosity"]) == ("b", "normal")


def test_several_trackers_and_none_come_back() -> None:
    for tracking in ("tracking=[wandb,tensorboard]", "tracking=none"):
        config = compose("config", [tracking, "run=a"])
        assert compose("config", ["run=b"], record_of(config))["tracking"] == config["tracking"]


def test_a_choice_on_the_command_line_gives_every_option_below_it() -> None:
    record = record_of(compose("config", ["controller=local_search", "controller.patience=9", "seed=3"]))
    assert compose("config", ["run=a", "controller.patience=8"], record)["controller"]["patience"] == 8
    assert compose("config", ["run=a", "controller=local_search"], record)["controller"]["patience"] == 200
    assert compose("config", ["run=a", "controller=random"], record)["seed"] == 3


def test_a_value_on_the_command_line_reaches_what_refers_to_it() -> None:
    record = record_of(compose("config", ["data.root=/old", "scale.image_size_px=64"]))
    config = compose("config", ["run=a", "data.root=/new"], record)
    assert (config["data"]["root"], config["task"]["data"]["root"]) == ("/new", "/new")
    assert config["task"]["scale"]["image_size_px"] == 64


def test_a_mapping_that_is_given_whole_leaves_the_names_that_it_lacks_to_the_record() -> None:
    record = record_of(compose("config", ["limits.macs=5e9", "limits.energy_j=3"]))
    assert compose("config", ["run=a", "limits={energy_j:4}"], record)["limits"] == {
        "macs": 5e9, "params": None, "energy_j": 4
    }  # fmt: skip


def test_an_experiment_is_a_whole_set_up_to_which_the_record_adds_nothing() -> None:
    record = record_of(compose("config", ["seed=3", "controller=random"]))
    given = ["experiment=quickstart", "run=a"]
    assert compose("config", given, record) == compose("config", given)


def test_a_command_line_without_a_run_takes_nothing() -> None:
    def refuse(folder: Path) -> Mapping[str, Any]:
        raise AssertionError(folder)

    assert compose("config", ["seed=3"], refuse)["seed"] == 3


@pytest.mark.parametrize("run", ["1e3", "a b", "~/a,b", "x=(y"])
def test_a_run_of_any_name_is_found(run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[Path] = []

    def look(folder: Path) -> None:
        asked.append(folder)

    compose("config", [f"run={run}"], look)
    assert asked == [Path(run).expanduser() if run.startswith("~") else tmp_path / run]


def test_a_run_of_an_older_version_comes_back_under_todays_names() -> None:
    now = compose("config", ["task=landscape", "controller=ppo", "controller.learner.batch_size=16", "reward=targets",
                             "reward.macs.target=5e9"])  # fmt: skip
    older = copy.deepcopy(now)
    older["controller"] |= older["controller"].pop("learner")
    older["reward"]["_target_"] = "nas.reward.TargetReward"
    del older["warm_start"], older["promotion"], older["limits"], older["max_reused_share"], older["block_kinds"]
    # Such a run deleted no network that it kept.
    now["promotion"]["max_weights_gb"] = None
    assert without_run(compose("config", ["run=a"], record_of(older))) == without_run(now)


# ---- What must be given again ----


def with_option(name: str, value: object) -> dict[str, Any]:
    """Return a configuration with one option changed to something that nobody could choose."""
    config = compose("config", ["task=landscape", "executor=ray", "tracking=mlflow"])
    *parents, last = name.split(".")
    node = config
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = value
    return config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task._target_", "os.system"),
        # A class of the package, but of another place.
        ("task._target_", "nas.executors.local.LocalExecutor"),
        ("task.noise", {"_target_": "os.mkdir", "path": "built"}),
        ("space.base._target_", "mine.base"),
        ("controller.space.base._target_", "mine.base"),
        ("tracking.mine", {"_target_": "mine.Tracker"}),
        ("limits._target_", "os.mkdir"),
        ("block_kinds.separable", "mine.kinds.SEPARABLE"),
        ("executor.address", "ray://elsewhere:10001"),
        ("tracking.mlflow.uri", "http://elsewhere"),
        ("task.latency.command", "rm -r {file}"),
        ("data.root", "/data/${oc.env:HOME}"),
        ("warm_start.specs", ["${oc.env:HOME}"]),
        ("warm_start.specs", [{"_target_": "os.mkdir"}]),
        ("limits.a b=(", 3),
        # Hydra would look for a file of this name.
        ("scale", "../../mine"),
        ("tracking", "../../mine"),
    ],
)
def test_what_no_record_decides_must_be_given_again(name: str, value: object) -> None:
    record = record_of(with_option(name, value))
    asked_for = f"{name}._target_" if isinstance(value, dict) else name
    with pytest.raises(InputError, match=r"on record, .*: give .* again") as caught:
        compose("config", ["run=a"], record)
    assert f"the run has {asked_for}=" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_given_again_is_taken_and_the_rest_is_still_on_record() -> None:
    record = record_of(with_option("task._target_", "mine.Task") | {"seed": 3})
    config = compose("config", ["run=a", "task._target_=mine.Task"], record)
    assert (config["task"]["_target_"], config["task"]["noise"], config["seed"]) == ("mine.Task", 0.0, 3)

    record = record_of(with_option("executor.address", "10.0.0.1:6379") | {"seed": 3})
    config = compose("config", ["run=a", "executor.address=10.0.0.2:6379"], record)
    assert (config["executor"]["address"], config["seed"]) == ("10.0.0.2:6379", 3)
    assert compose("config", ["run=a", "executor=local"], record)["seed"] == 3

    record = record_of(with_option("block_kinds.separable", "mine.kinds.SEPARABLE"))
    given = "block_kinds.separable=mine.kinds.SEPARABLE"
    assert compose("config", ["run=a", given], record)["block_kinds"] == {"separable": "mine.kinds.SEPARABLE"}


def test_choices_of_ones_own_are_known_where_their_folder_is_given(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "metered.yaml").write_text("# Metered.\n_target_: mine.Task\nseed: ${seed}\ncost: 1\n")
    mine = ("--config-dir", str(tmp_path))
    begun = compose("config", [*mine, "task=metered", "task.cost=4", "seed=5"])
    with pytest.raises(InputError, match=r"the run has task\._target_=mine\.Task on record"):
        compose("config", ["run=a"], record_of(begun))
    assert without_run(compose("config", [*mine, "run=a"], record_of(begun))) == without_run(begun)


@pytest.mark.parametrize("content", ["cost: [1\n", "- cost\n"])
def test_a_broken_choice_of_ones_own_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text(content)
    with pytest.raises(InputError, match=r"task/mine\.yaml: ") as caught:
        compose("config", ["--config-dir", str(tmp_path), "run=a"], record_of(compose("config", [])))
    assert "\n" not in str(caught.value)


def test_no_option_on_record_reaches_the_configuration_of_hydra_itself(tmp_path: Path) -> None:
    # A folder of choices that the record names must not be looked at.
    config = with_option("hydra", {"searchpath": [f"file://{tmp_path}"], "mode": "MULTIRUN"})
    assert "hydra" not in compose("config", ["run=a"], record_of(config))
