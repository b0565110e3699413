"""Which options may differ between two starts of one run, and what older versions called them."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foundation import InputError
from nas.options.command_line import compose
from nas.options.configuration import options_of
from nas.record import identity
from nas.record.events import Asked
from nas.record.identity import (
    OPTIONS,
    SEARCHER,
    check_config,
    concern_of,
    may_change,
    may_change_in_replay,
    open_run,
    options_on_record,
    present_options,
)
from nas.record.journal import FILE_NAME, Journal
from nas.setup import build_setup
from proxy_tasks.coco.cache_files import SplitContent
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.open_data import DataContent
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection import DetectionProxy
from proxy_tasks.landscape import Landscape
from proxy_tasks.latency_options import LatencyOptions
from search_space import Decisions, ModelScale, ScalePermutedSpace, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))
DECISIONS = SPACE.sample(np.random.default_rng(0))
SPEC = SPACE.decode(DECISIONS).spec
LEARNER = {
    "hidden_width": 64,
    "learning_rate": 0.02,
    "batch_size": 8,
    "entropy_weight": 0.03,
    "baseline_decay": 0.95,
    "failure_reward": None,
    "seed": 0,
}


def begun(folder: Path, config: dict[str, Any], data: Mapping[str, str] | None = None) -> None:
    """Begin a run with one trial, so that its first line stays."""
    with Journal(folder, config, data=data) as journal:
        journal.append(Asked(trial=0, decisions=DECISIONS, key=SPEC.key, spec=SPEC))


def test_a_run_from_before_an_option_existed_can_be_resumed(tmp_path: Path) -> None:
    config = compose("config", ["experiment=quickstart"])
    older = copy.deepcopy(config)
    del older["task"]["latency"], older["warm_start"], older["limits"], older["max_reused_share"]
    del older["controller"]["num_random"], older["task"]["cache_format"], older["task"]["per_class_ap"]
    del older["block_kinds"], older["space"]["resolution_paths"], older["controller"]["space"]["resolution_paths"]
    for recipe in (older["recipe"], older["task"]["recipe"]):
        del recipe["ema_decay"]
    begun(tmp_path, older)
    # The task says which of its options are younger than the run.
    task = DetectionProxy(Shapes(tmp_path / "shapes"), ModelScale())
    open_run(tmp_path, config, task, SPACE).close()
    changed = compose("config", ["experiment=quickstart", "task.latency=true"])
    message = r"was made with task\.latency\.runtime=null, now it is torch; use the recorded value"
    with pytest.raises(InputError, match=message):
        open_run(tmp_path, changed, task, SPACE)


@pytest.mark.parametrize(("switch", "runtime"), [(True, "torch"), (False, None)])
def test_a_latency_that_was_true_or_false_is_what_that_is_short_for(
    tmp_path: Path, switch: bool, runtime: str | None
) -> None:
    word = str(switch).lower()
    given = ["experiment=quickstart", f"run={tmp_path}"]
    older = compose("config", [*given, f"task.latency={word}"])
    assert older["task"]["latency"] is switch
    begun(tmp_path, older)

    resumed = compose("config", [f"run={tmp_path}"], options_on_record)
    assert resumed["task"]["latency"]["runtime"] == runtime
    same = f"task.latency.runtime={runtime or 'null'}"
    for config in (resumed, older, compose("config", [*given, same])):
        task = build_setup(config).task
        assert isinstance(task, DetectionProxy)
        assert task.timing == LatencyOptions(runtime)  # type: ignore[arg-type]  # one of its words
        open_run(tmp_path, config, task, SPACE).close()
    other = compose("config", [*given, f"task.latency={str(not switch).lower()}"])
    with pytest.raises(
        InputError, match=r"was made with task\.latency\.runtime=(torch, now it is null|null, now it is torch)"
    ):
        open_run(tmp_path, other, task, SPACE)


@pytest.mark.parametrize("task", ["detection", "landscape"])
def test_a_run_from_before_stems_had_a_width_resumes_with_64_channels(tmp_path: Path, task: str) -> None:
    given = [f"task={task}", "scale=tiny", "data=shapes", f"run={tmp_path}"]
    older = compose("config", given)
    del older["scale"]["stem_width"]
    older["task"].get("scale", {}).pop("stem_width", None)
    begun(tmp_path, older)

    resumed = build_setup(compose("config", [f"run={tmp_path}"], options_on_record))
    assert resumed.scale.stem_width == getattr(resumed.task, "scale", resumed.scale).stem_width == 64
    config = compose("config", [*given, "scale.stem_width=64"])
    open_run(tmp_path, config, resumed.task, SPACE).close()
    with pytest.raises(InputError, match=r"was made with scale\.stem_width=64, now it is 16; use the recorded value"):
        open_run(tmp_path, compose("config", given), resumed.task, SPACE)


@pytest.mark.parametrize("cls", ["controllers.reinforce.Reinforce", "controllers.ppo.PPO"])
def test_a_run_from_before_learners_were_values_can_be_resumed(tmp_path: Path, cls: str) -> None:
    begun(tmp_path, {"controller": {"_target_": cls, "space": {"window": 5}, **LEARNER}})
    now = {"controller": {"_target_": cls, "space": {"window": 5}, "learner": LEARNER}}
    open_run(tmp_path, now, Landscape(), SPACE).close()
    changed = {"controller": {**now["controller"], "learner": {**LEARNER, "batch_size": 16}}}
    with pytest.raises(InputError, match=r"was made with controller\.learner\.batch_size=8, now it is 16"):
        open_run(tmp_path, changed, Landscape(), SPACE)


@pytest.mark.parametrize("name", ["ppo", "reinforce"])
def test_an_older_run_of_a_policy_goes_with_the_options_of_today(tmp_path: Path, name: str) -> None:
    now = compose("config", ["task=landscape", f"controller={name}"])
    older = copy.deepcopy(now)
    older["controller"] |= older["controller"].pop("learner", {})
    begun(tmp_path, older)
    open_run(tmp_path, now, Landscape(), SPACE).close()


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
    open_run(tmp_path, now, Landscape(), SPACE).close()


def test_a_kind_of_ones_own_belongs_to_the_run(tmp_path: Path) -> None:
    begun(tmp_path, {"block_kinds": {"separable": "mine.kinds.SEPARABLE"}})
    with pytest.raises(
        InputError, match=r"was made with block_kinds\.separable=mine\.kinds\.SEPARABLE, now it is null"
    ):
        open_run(tmp_path, {"block_kinds": {}}, Landscape(), SPACE)


def test_options_of_data_and_recipe_count_only_where_something_refers_to_them(tmp_path: Path) -> None:
    # A landscape looks at no image; runs of older versions lack options of the data that it never used.
    now = compose("config", ["task=landscape"])
    older = copy.deepcopy(now)
    del older["data"]["max_bad_share"], older["recipe"]["ema_decay"]
    begun(tmp_path / "run", older)
    open_run(tmp_path / "run", now, Landscape(), SPACE).close()

    own = {**now, "task": {**now["task"], "data": older["data"]}}
    begun(tmp_path / "own", own)
    other = {**older["data"], "num_held_out": 8}
    changed = {**own, "data": other, "task": {**own["task"], "data": other}}
    with pytest.raises(InputError, match=r"was made with data\.num_held_out=0\.1, now it is 8;"):
        open_run(tmp_path / "own", changed, Landscape(), SPACE)


def test_the_share_of_bad_data_may_differ_between_two_starts_and_older_runs_have_none(tmp_path: Path) -> None:
    task = DetectionProxy(CocoFolder(None), ModelScale())
    begun(tmp_path, {"data": {"num_held_out": 8}, "task": {"data": {"num_held_out": 8}}})
    data = {"num_held_out": 8, "max_bad_share": 0.3}
    open_run(tmp_path, {"data": data, "task": {"data": data}}, task, SPACE).close()


def test_runs_that_held_out_the_paper_s_number_and_knew_one_layout_resume(tmp_path: Path) -> None:
    task = DetectionProxy(CocoFolder(None), ModelScale())
    now = compose("config", ["experiment=spinenet", "data.root=/data/coco"])
    older = copy.deepcopy(now)
    for data in (older["data"], older["task"]["data"]):
        del data["converted_dir"]
    assert older["data"]["num_held_out"] == 7392
    begun(tmp_path, older)
    open_run(tmp_path, {**now, "num_trials": 20_000}, task, SPACE).close()

    # Where converted annotations lie is no part of what a run is.
    moved = compose("config", ["experiment=spinenet", "data.root=/data/coco", "data.converted_dir=/tmp/converted"])
    open_run(tmp_path, moved, task, SPACE).close()


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
            check_config(record, tmp_path, changed, Landscape(), allowed(Landscape()))
        else:
            with pytest.raises(InputError, match="was made with"):
                check_config(record, tmp_path, changed, Landscape(), allowed(Landscape()))


COCO = ["experiment=spinenet"]
CONTENT = {"training annotations": "1a", "training images": "2b"}


def tied_task(annotations: str, images: str) -> DetectionProxy:
    content = DataContent(SplitContent(annotations, images), SplitContent("3c", "4d"))
    return DetectionProxy(CocoFolder(None), ModelScale(), content=content)


def test_data_may_lie_elsewhere_where_its_content_is_on_record(tmp_path: Path) -> None:
    begun(tmp_path, compose("config", [*COCO, "data.root=/data/coco"]), CONTENT)
    moved = compose("config", [*COCO, "data.root=/mnt/new", "data.train_images=images", "data.val_images=v"])
    open_run(tmp_path, moved, tied_task("1a", "2b"), SPACE).close()
    # A resumed run is opened before its data is prepared, and checked again afterwards.
    open_run(tmp_path, moved, DetectionProxy(CocoFolder(None), ModelScale()), SPACE).close()
    with pytest.raises(InputError, match=r"was made with data\.num_held_out=7392, now it is 9"):
        open_run(tmp_path, compose("config", [*COCO, "data.num_held_out=9"]), tied_task("1a", "2b"), SPACE)


@pytest.mark.parametrize(
    ("annotations", "images", "message"),
    [
        ("1a", "2c", "training images: their content had the hash 2b, now it has 2c"),
        ("1b", "2b", "training annotations: their content had the hash 1a, now it has 1b"),
    ],
)
def test_a_run_is_not_resumed_on_other_data_than_it_was_begun_on(
    tmp_path: Path, annotations: str, images: str, message: str
) -> None:
    config = compose("config", COCO)
    begun(tmp_path, config, CONTENT)
    with pytest.raises(InputError, match=rf"was begun on other {message}; bring back what was there"):
        open_run(tmp_path, config, tied_task(annotations, images), SPACE)


def test_a_run_of_an_older_version_resumes_where_its_data_lies_in_any_spelling(tmp_path: Path) -> None:
    (tmp_path / "coco").mkdir()
    (tmp_path / "link").symlink_to("coco")
    begun(tmp_path / "run", compose("config", [*COCO, f"data.root={tmp_path}/coco"]))
    for root in ("coco/", "../{name}/coco", "link", "link/."):
        spelled = compose("config", [*COCO, f"data.root={tmp_path}/{root.format(name=tmp_path.name)}"])
        open_run(tmp_path / "run", spelled, tied_task("1a", "2b"), SPACE).close()
    # Nobody can tell whether what lies elsewhere is the same.
    message = r"was made with data\.root=.*/coco, now it is .*/other; use the recorded value \(a link there to the data"
    with pytest.raises(InputError, match=message):
        open_run(
            tmp_path / "run", compose("config", [*COCO, f"data.root={tmp_path}/other"]), tied_task("1a", "2b"), SPACE
        )


def test_the_run_of_a_warm_start_may_be_spelled_in_another_way(tmp_path: Path) -> None:
    begun(tmp_path / "run", compose("config", ["task=landscape", f"warm_start.run={tmp_path}/first"]))
    spelled = compose("config", ["task=landscape", f"warm_start.run={tmp_path}/first/"])
    open_run(tmp_path / "run", spelled, Landscape(), SPACE).close()
    with pytest.raises(InputError, match=r"was made with warm_start\.run=.*/first, now it is .*/second"):
        open_run(
            tmp_path / "run",
            compose("config", ["task=landscape", f"warm_start.run={tmp_path}/second"]),
            Landscape(),
            SPACE,
        )


def test_the_table_names_options_that_there_are() -> None:
    config = compose("config", [])
    assert set(OPTIONS) <= {*config, *(name for name, _ in options_of(config))}


def test_an_option_belongs_to_one_aspect_of_a_run() -> None:
    assert SEARCHER == ("controller", "promotion", "stopping")
    assert concern_of("controller.population_size") == "searcher"
    assert concern_of("seed") == "repetition"
    assert concern_of("executor._target_") == "machine"
    assert concern_of("promotion.max_weights_gb") == "machine"
    # A seed below another option is no repetition.
    assert concern_of("task.seed") == "problem"
    assert concern_of("fidelity.epochs") == "problem"


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        (DECISIONS[:-1], "the space has 70 decisions, got 69"),
        ((99, *DECISIONS[1:]), r"block0\.level: legal options are .*, got 99"),
        ((-1, *DECISIONS[1:]), r"block0\.level: legal options are .*, got -1"),
        # In range, but the seed has one block of level 2.
        ((0, 0, *DECISIONS[2:]), r"block1\.level: legal options are \[1, 2, 3\], got 0"),
        (SPACE.sample(np.random.default_rng(1)), r"they describe the architecture \S+, the spec beside them is \S+"),
    ],
)
def test_decisions_that_are_not_of_the_space_are_refused_by_line(
    tmp_path: Path, decisions: Decisions, message: str
) -> None:
    with Journal(tmp_path, {}) as journal:
        journal.append(Asked(trial=0, decisions=DECISIONS, key=SPEC.key, spec=SPEC))
        journal.append(Asked(trial=1, decisions=decisions, key=SPEC.key, spec=SPEC))
    content = (tmp_path / FILE_NAME).read_bytes() + b'{"event":"to'
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(InputError, match=rf"journal\.jsonl, line 3: asked\.decisions: {message}"):
        open_run(tmp_path, {}, Landscape(), SPACE)
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_first_trials_that_are_not_of_the_space_are_refused_by_line(tmp_path: Path) -> None:
    with Journal(tmp_path, {}, begin_with=[DECISIONS, (1, 2)]) as journal:
        journal.append(Asked(trial=0, decisions=DECISIONS, key=SPEC.key, spec=SPEC))
    with pytest.raises(InputError, match=r"line 1: created\.begin_with: the space has 70 decisions, got 2"):
        open_run(tmp_path, {}, Landscape(), SPACE)


def test_in_a_long_journal_options_out_of_range_are_refused_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if two trials were too many to decode.
    monkeypatch.setattr(identity, "MAX_DECODED", 1)
    with Journal(tmp_path, {}) as journal:
        journal.append(Asked(trial=0, decisions=DECISIONS, key=SPEC.key, spec=SPEC))
        journal.append(Asked(trial=1, decisions=(99, *DECISIONS[1:]), key=SPEC.key, spec=SPEC))
    with pytest.raises(InputError, match=r"line 3: asked\.decisions: block0\.level: legal options are .*, got 99"):
        open_run(tmp_path, {}, Landscape(), SPACE)


def test_other_options_are_named_before_decisions_of_another_space(tmp_path: Path) -> None:
    begun(tmp_path, {"space": {"window": 5}})
    smaller = ScalePermutedSpace(resnet_seed("r0-sp53"), level_offsets=())
    with pytest.raises(InputError, match=r"was made with space\.window=5"):
        open_run(tmp_path, {"space": {"window": 7}}, Landscape(), smaller)
