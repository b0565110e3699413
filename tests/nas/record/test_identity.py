"""Which options may differ between two starts of one run, and what older versions called them."""

import copy
from pathlib import Path
from typing import Any

import pytest

from foundation import InputError
from nas.options.command_line import compose
from nas.record.events import Asked
from nas.record.identity import (
    OPTIONS,
    SEARCHER,
    check_config,
    concern_of,
    may_change,
    may_change_in_replay,
    open_run,
    present_options,
)
from nas.record.journal import Journal
from proxy_tasks.landscape import Landscape
from search_space import published_spec

SPEC = published_spec("spinenet-49")
LEARNER = {
    "hidden_width": 64,
    "learning_rate": 0.02,
    "batch_size": 8,
    "entropy_weight": 0.03,
    "baseline_decay": 0.95,
    "failure_reward": None,
    "seed": 0,
}


def begun(folder: Path, config: dict[str, Any]) -> None:
    """Begin a run with one trial, so that its first line stays."""
    with Journal(folder, config) as journal:
        journal.append(Asked(trial=0, decisions=(1, 2), key=SPEC.key, spec=SPEC))


def test_a_run_from_before_an_option_existed_can_be_resumed(tmp_path: Path) -> None:
    config = compose("config", ["experiment=quickstart"])
    older = copy.deepcopy(config)
    del older["task"]["latency"], older["warm_start"], older["limits"], older["max_reused_share"]
    del older["controller"]["num_random"], older["task"]["cache_format"], older["task"]["per_class_ap"]
    del older["block_kinds"]
    for recipe in (older["recipe"], older["task"]["recipe"]):
        del recipe["ema_decay"]
    begun(tmp_path, older)
    open_run(tmp_path, config, Landscape()).close()
    changed = compose("config", ["experiment=quickstart", "task.latency=true"])
    with pytest.raises(InputError, match=r"was made with task\.latency=False, now it is True; use the recorded value"):
        open_run(tmp_path, changed, Landscape())


@pytest.mark.parametrize("cls", ["controllers.reinforce.Reinforce", "controllers.ppo.PPO"])
def test_a_run_from_before_learners_were_values_can_be_resumed(tmp_path: Path, cls: str) -> None:
    begun(tmp_path, {"controller": {"_target_": cls, "space": {"window": 5}, **LEARNER}})
    now = {"controller": {"_target_": cls, "space": {"window": 5}, "learner": LEARNER}}
    open_run(tmp_path, now, Landscape()).close()
    changed = {"controller": {**now["controller"], "learner": {**LEARNER, "batch_size": 16}}}
    with pytest.raises(InputError, match=r"was made with controller\.learner\.batch_size=8, now it is 16"):
        open_run(tmp_path, changed, Landscape())


@pytest.mark.parametrize("name", ["ppo", "reinforce"])
def test_an_older_run_of_a_policy_goes_with_the_options_of_today(tmp_path: Path, name: str) -> None:
    now = compose("config", ["task=landscape", f"controller={name}"])
    older = copy.deepcopy(now)
    older["controller"] |= older["controller"].pop("learner", {})
    begun(tmp_path, older)
    open_run(tmp_path, now, Landscape()).close()


def test_options_of_a_controller_of_ones_own_keep_their_names() -> None:
    config = {"controller": {"_target_": "mine.Climb", "learning_rate": 0.1, "seed": 3}}
    assert present_options(config) == {
        "controller._target_": "mine.Climb",
        "controller.learning_rate": 0.1,
        "controller.seed": 3,
    }


@pytest.mark.parametrize("name", ["MetricReward", "TargetReward"])
def test_a_run_from_before_rewards_moved_can_be_resumed(tmp_path: Path, name: str) -> None:
    begun(tmp_path, {"reward": {"_target_": f"nas.reward.{name}", "metric": "ap"}})
    now = {"reward": {"_target_": f"nas.engine.reward.{name}", "metric": "ap"}}
    open_run(tmp_path, now, Landscape()).close()


def test_a_kind_of_ones_own_belongs_to_the_run(tmp_path: Path) -> None:
    begun(tmp_path, {"block_kinds": {"separable": "mine.kinds.SEPARABLE"}})
    with pytest.raises(
        InputError, match=r"was made with block_kinds\.separable=mine\.kinds\.SEPARABLE, now it is null"
    ):
        open_run(tmp_path, {"block_kinds": {}}, Landscape())


@pytest.mark.parametrize(
    ("overrides", "may_resume", "may_be_replayed"),
    [
        (("num_trials=7", "verbosity=quiet", "max_reused_share=1", "run=elsewhere"), True, True),
        (("executor=local", "tracking=none", "failures.nan=stop"), True, True),
        (("seed=1",), False, True),
        (("fidelity.epochs=9",), False, True),
        (("controller=random",), False, False),
        (("promotion.num_rungs=2",), False, False),
        (("limits.macs=1e9",), False, False),
        (("space.window=7",), False, False),
    ],
)
def test_what_may_differ(tmp_path: Path, overrides: tuple[str, ...], may_resume: bool, may_be_replayed: bool) -> None:
    with Journal(tmp_path, compose("config", ["task=landscape"])) as journal:
        record = journal.record
    changed = compose("config", ["task=landscape", *overrides])
    for allowed, is_allowed in ((may_change, may_resume), (may_change_in_replay, may_be_replayed)):
        if is_allowed:
            check_config(record, tmp_path, changed, allowed(Landscape()))
        else:
            with pytest.raises(InputError, match="was made with"):
                check_config(record, tmp_path, changed, allowed(Landscape()))


def test_the_table_names_options_that_there_are() -> None:
    assert set(OPTIONS) <= set(compose("config", []))


def test_an_option_belongs_to_one_aspect_of_a_run() -> None:
    assert SEARCHER == ("controller", "promotion")
    assert concern_of("controller.population_size") == "searcher"
    assert concern_of("seed") == "repetition"
    assert concern_of("executor._target_") == "machine"
    # A seed below another option is no repetition.
    assert concern_of("task.seed") == "problem"
    assert concern_of("fidelity.epochs") == "problem"
