"""From the command line to objects: every option has an explanation, every mistake one line."""

import importlib
import inspect
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from controllers.evolution import RegularizedEvolution
from controllers.random_search import RandomSearch
from controllers.reinforce import Reinforce
from foundation import InputError
from nas.executors.local import LocalExecutor
from nas.options.command_help import help_text
from nas.options.command_line import compose
from nas.options.listed import EXPERIMENTS, included_groups
from nas.setup import build_setup
from proxy_tasks.detection.task import DetectionProxy
from proxy_tasks.landscape import Landscape
from search_space import PUBLISHED_SCALES, ModelScale, ScalePermutedSpace

LIGHT = ("task=landscape", "executor=local")


def test_quickstart_is_the_embedded_task(tmp_path: Path) -> None:
    setup = build_setup(compose("config", ["experiment=quickstart"]))
    assert isinstance(setup.task, DetectionProxy)
    assert setup.num_trials == 12
    assert isinstance(setup.controller, RegularizedEvolution)
    assert setup.run.is_absolute()


def test_spinenet_is_the_paper_s_set_up() -> None:
    # Section 5.1 of the paper: 512 px, width and alpha 0.25, 64-wide head, 5 epochs, 7,392 held-out images.
    config = compose("config", ["experiment=spinenet", "data.root=/data/coco"])
    setup = build_setup(config)
    assert isinstance(setup.task, DetectionProxy)
    assert isinstance(setup.space, ScalePermutedSpace)
    assert setup.scale == ModelScale(
        width_multiplier=0.25, resample_alpha=0.25, endpoint_width=64, head_width=64, image_size_px=512
    )
    assert setup.task.scale == setup.scale
    assert setup.task.data.folder(lambda *a: None).num_held_out == 7392
    assert setup.fidelity.epochs == 5
    assert setup.num_trials == 14_000
    assert len(setup.space.decisions) == 70
    assert config["executor"]["_target_"] == "nas.executors.ray_cluster.RayExecutor"
    # The controller of Zoph and Le, which the paper cites.
    assert isinstance(setup.controller, Reinforce)


def test_spinenet_evolution_differs_in_its_controller_alone() -> None:
    paper, evolution = (
        compose("config", [f"experiment={name}", "data.root=/data/coco"]) for name in ("spinenet", "spinenet_evolution")
    )
    assert isinstance(build_setup(evolution).controller, RegularizedEvolution)
    assert {name for name in paper if paper[name] != evolution[name]} == {"controller", "run"}


@pytest.mark.parametrize(
    "experiment",
    sorted(p.stem for p in (EXPERIMENTS / "experiment").glob("*.yaml") if "nas.search" in p.read_text()),
)
@pytest.mark.parametrize("override", ["controller=random", "controller=ppo", "task=landscape", "executor=local"])
def test_every_experiment_goes_with_every_choice(experiment: str, override: str) -> None:
    build_setup(compose("config", [f"experiment={experiment}", override]))


@pytest.mark.parametrize("group", sorted({group for group, _ in included_groups("config")} - {"experiment"}))
def test_every_choice_builds(group: str) -> None:
    needs = {
        "targets": ["reward.macs.target=1e9"],
        "weighed": ["reward.weights.ap=1"],
        "mask_ap": ["task=segmentation"],
        "top1": ["task=classification"],
        "pareto_evolution": ["reward=tradeoff"],
        "grid": ["space=spinenet_scaling", "scale=spinenet-49"],
        "spinenet_scaling": ["scale=spinenet-49"],
        "joint": ["scale=spinenet-49"],
    }
    for path in (EXPERIMENTS / group).glob("*.yaml"):
        build_setup(compose("config", [f"{group}={path.stem}", *needs.get(path.stem, [])]))


def test_published_scales_are_choices() -> None:
    for name, scale in PUBLISHED_SCALES.items():
        assert build_setup(compose("config", [*LIGHT, f"scale={name}"])).scale == scale
    choices = {path.stem for path in (EXPERIMENTS / "scale").glob("*.yaml")}
    assert choices == {*PUBLISHED_SCALES, "paper_proxy", "tiny"}


def options_of(node: dict[str, Any], prefix: str = "") -> set[str]:
    names = set()
    for name, value in node.items():
        if isinstance(value, dict):
            names |= options_of(value, f"{prefix}{name}.")
        elif name != "_target_" and not str(value).startswith("${"):
            names.add(prefix + name)
    return names


def part_of(path: Path) -> str:
    """Return the part of the configuration that a YAML file fills; empty for the whole."""
    if path.parent == EXPERIMENTS:
        return ""
    group = path.parent.name
    if group == "tracking":
        # Several trackers may be chosen at once, so each has a name of its own.
        return f"{group}.{path.stem}"
    for other in EXPERIMENTS.rglob("*.yaml"):
        # Some groups are no choice of the user: choices of another group include them below a name.
        found = re.search(rf"- /{group}@(\w+): {path.stem}\n", other.read_text())
        if found:
            return f"{other.parent.name}.{found[1]}"
    return group


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.rglob("*.yaml")), ids=lambda p: str(p.relative_to(EXPERIMENTS)))
def test_help_explains_every_option(path: Path) -> None:
    group = path.parent.name if path.parent != EXPERIMENTS else None
    if group == "experiment":
        return
    groups_of_search = {name for name, _ in included_groups("config")} | {"learner"}
    name = path.stem if group is None else "config" if group in groups_of_search else "train"
    text = help_text(name, "")
    node = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(node, dict)
    node.pop("defaults", None)
    part = part_of(path)
    for option in options_of({str(k): v for k, v in node.items()}):
        full = f"{part}.{option}" if part else option
        assert re.search(rf"{re.escape(full)}=\S.* [A-Za-z0-9]{{2,}}", text), full


def test_every_yaml_says_how_to_run_it() -> None:
    for path in EXPERIMENTS.rglob("*.yaml"):
        assert "#   python -m nas." in path.read_text(), path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tracking.wandb.mode=offline"], "option tracking.wandb.mode belongs to another choice of tracking"),
        (["tracking.tensorboard.per_trail=false"], "did you mean tracking.tensorboard.per_trial?"),
        (["experiment=nonsense"], "unknown choice experiment=nonsense; there are "),
        (["controller=nonsense"], "unknown choice controller=nonsense; there are "),
        (["experiment=quikstart"], "unknown choice experiment=quikstart; there are "),
        (["experiment=quikstart"], "; did you mean quickstart?"),
        (["controller=randm"], "; did you mean random?"),
        (["scale=spinenet-94"], "; did you mean spinenet-96?"),
        (["scale=49"], "unknown choice scale=49; there are "),
        (["scale=49"], "; did you mean spinenet-49?"),
        (["scale=1e3"], "unknown choice scale=1e3; there are "),
        (["space=around_spec", "space.base.spec=spinnet-49"], "; did you mean spinenet-49?"),
        (["num_trails=3"], "unknown option num_trails; did you mean num_trials?"),
        (["zzz=3"], "unknown option zzz; --help lists them"),
        (["executor=local", "executor.address=x"], "option executor.address belongs to another choice of executor"),
        (["num_trials=abc"], "num_trials: Input should be a valid integer, unable to parse string as an integer"),
        (["num_trials=1.5"], "num_trials: Input should be a valid integer, got a number with a fractional part"),
        (["num_trials=0"], "num_trials must be from 1 to 1e+07 (their journal has 20 GB), got 0"),
        (["num_trials="], "num_trials: needs a value"),
        (["num_trials=[1"], "num_trials: Input should be a valid integer"),
        (["seed=-1"], "seed must be 0 to 4294967295, got -1"),
        (["run="], "run: needs a value"),
        (["run=???"], "run: needs a value; --help explains it"),
        (["fidelity.epochs=0"], "fidelity: Value error, epochs must be from 1e-06 to 1e+06"),
        (["fidelity.epochs=inf"], "fidelity.epochs: needs a finite number, got inf"),
        (["fidelity.epochs=many"], "fidelity.epochs: Input should be a valid number"),
        (["controller.population_size=x"], "controller.population_size: Input should be a valid integer"),
        (["controller.population_size=2"], "controller: tournament_size must be 1 to population_size (2), got 10"),
        (["scale.width_multiplier=-1"], "width_multiplier must be from 0.001 to 16 (SpineNet-190 has 1.3), got -1.0"),
        (["space.window=1"], "space: window must be 2 or more, got 1"),
        (
            ["space.kinds=[foo]"],
            "space: kinds must be among bottleneck, residual, as the base's blocks are ([] keeps them), got 'foo'",
        ),
        (
            ["space.kinds=[mbconv]"],
            "space: kinds must be among bottleneck, residual, as the base's blocks are ([] keeps them), got 'mbconv'",
        ),
        (["space.level_offsets=[9]"], "space: level_offsets [9] lead to level 11, outside 1-7"),
        (["space.base.name=r50"], "unknown ResNet seed 'r50'; known are r35-sp18"),
        (["reward.metric=foo"], "reward: no metric foo; the task has ap"),
        (["reward=targets"], "reward: needs a target: macs.target, params.target or latency_ms.target"),
        (
            ["reward=targets", "reward.macs.target=-1"],
            "target must be from 1e-12 to 1e+18 (no architecture costs mo",
        ),
        (["reward=targets", "reward.macs.form=firm"], "reward.macs.form: Input should be 'hard' or 'soft'"),
        (
            ["reward=targets", "reward.latency_ms.target=5"],
            "reward: no metric latency_ms; the task has ap, macs",
        ),
        (["reward=tradeoff", "reward.costs=macs"], "reward.costs: Input should be a list, as [a,b], got 'macs'"),
        (["controller=ppo", "controller.learner.seed=-1"], "controller.learner: seed must be 0 to 4294967295, got -1"),
        (
            ["space=scale_permuted", "space.permutation=false", "space.connections=false"],
            "space: holds one architecture only, there is nothing to search",
        ),
        (["controller=pareto_evolution"], "controller: needs a reward with costs to trade off, as reward=tradeoff"),
        (["task=detection", "task.cache_format=png"], "task.cache_format: Input should be 'raw' or 'jpeg', got 'png'"),
        (["task=detection", "recipe.ema_decay=2"], "ema_decay must lie between 0 and 1, got 2.0"),
        (["task=detection", "data.max_images=1"], "max_images must be 2 or more, got 1"),
        (["limits.macs=0"], "macs must be above 0, or null for no limit, got 0.0"),
        (["warm_start.top=0"], "top must be from 1 to 1e+07 (no run has more trials), got 0"),
        (["max_reused_share=2"], "max_reused_share must be 0 to 1, got 2.0"),
        (["controller=ppo", "controller.clip=2"], "controller: clip must be between 0 and 1, got 2.0"),
        (["task._target_=foo.bar"], "task._target_: cannot import foo.bar"),
        (["task._target_=typing.Any"], "task._target_: "),
        (
            [
                "task._target_=controllers.RandomSearch",
                "~task.noise",
                "~task.seed",
                "~task.failure_rate",
                "+task.space=${space}",
            ],
            "task: Input should be an instance of ProxyTask",
        ),
        (["+task.colour=red"], "task: no option colour; Landscape has seed, noise, failure_rate"),
        (["scale=null"], "a choice, as scale=tiny, needs a name; leave it out for the default"),
        (["a==b"], "unknown option a"),
        (["num_trials"], "options are written name=value, got 'num_trials'; --help lists them"),
        (["--fast"], "unknown flag --fast; --help lists flags and options"),
        (["--config-dir", "/nowhere"], "--config-dir needs a folder, got /nowhere"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        build_setup(compose("config", [*LIGHT, *arguments]))
    assert message.removeprefix("fidelity: Value error, ") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["~/coco", "/home/jürgen/coco", "/data/it's", "/data/[x]", "/data/a b", "/data/a,b"])
def test_paths_need_no_quotes_of_their_own(value: str) -> None:
    assert compose("config", [f"data.root={value}"])["data"]["root"] == value


def test_a_home_folder_is_expanded() -> None:
    setup = build_setup(compose("config", ["data.root=~/coco"]))
    assert isinstance(setup.task, DetectionProxy)
    assert setup.task.data.root == Path.home() / "coco"  # type: ignore[attr-defined]  # it is a CocoFolder


def test_a_folder_of_ones_own_adds_choices(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - override /controller: random\n  - override /task: landscape\nnum_trials: 7\n"
    )
    setup = build_setup(compose("config", ["--config-dir", str(tmp_path), "experiment=mine", "executor=local"]))
    assert setup.num_trials == 7
    assert isinstance(setup.controller, RandomSearch)
    assert isinstance(setup.task, Landscape)
    assert isinstance(setup.executor, LocalExecutor)


FOLDER_NAMES = ("a=b", "a,b", "it's", '"a', "a(b", " a ", "ü", "a[{b", "a\\", "${x}", "~a#;&!", "null", "1e3", "\udcff")


@pytest.mark.parametrize("name", FOLDER_NAMES)
def test_a_folder_of_ones_own_may_have_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    choices = tmp_path / name / "experiment"
    choices.mkdir(parents=True)
    (choices / "mine.yaml").write_text("# @package _global_\nnum_trials: 7\n")
    assert compose("config", [f"--config-dir={name}", "experiment=mine"])["num_trials"] == 7


def test_help_and_errors_know_choices_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "controller").mkdir()
    yaml = "# Climb.\n_target_: hill.Climb\n# Failures before a restart.\npatience: 3\n"
    (tmp_path / "controller" / "hill.yaml").write_text(yaml)
    text = help_text("config", "", (tmp_path,))
    assert re.search(r"controller=hill +Climb\.", text)
    assert re.search(r"controller\.patience=3 +Failures before a restart\.", text)
    with pytest.raises(InputError, match=r"there are (\w+, )*hill(,|$)"):
        compose("config", ["--config-dir", str(tmp_path), "controller=hil"])
    with pytest.raises(InputError, match=r"did you mean controller\.patience\?"):
        compose("config", ["--config-dir", str(tmp_path), "controller=hill", "controller.patiens=2"])


def test_a_broken_file_of_ones_own_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("num_trials: [1\n")
    with pytest.raises(InputError, match=r"mine\.yaml") as caught:
        compose("config", ["--config-dir", str(tmp_path), "experiment=mine"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["evolution", "local_search", "pareto_evolution", "ppo", "reinforce"])
def test_constructors_and_yaml_have_the_same_defaults(name: str) -> None:
    node = compose("config", [*LIGHT, f"controller={name}"])["controller"]
    module, _, cls = node.pop("_target_").rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(module), cls)).parameters
    del node["space"]
    defaults = {name: p.default for name, p in parameters.items() if name != "space"}
    if "learner" in defaults:
        defaults["learner"] = asdict(defaults["learner"])
    assert defaults == node


COMMANDS = ("search", "replay", "leaderboard", "report", "export", "draw", "profile", "prepare")


ONE_AFTER_ANOTHER = f"""
import runpy, sys
for name in {COMMANDS}:
    sys.argv = [name]
    try:
        runpy.run_module(f"nas.{{name}}", run_name="__main__")
    except SystemExit as end:
        print(end.code)
"""


# One command as a process of its own, as Python looks for its module in the folder too.
@pytest.mark.parametrize(("start", "number"), [(("-m", "nas.search"), 1), (("-c", ONE_AFTER_ANOTHER), len(COMMANDS))])
def test_a_command_started_in_a_deleted_folder_is_one_line(start: tuple[str, ...], number: int, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    shell = ["sh", "-c", f'rmdir {folder} && exec "$@"', "sh", sys.executable, *start]
    environment = os.environ | {"PYTHONPATH": str(EXPERIMENTS.parent)}
    done = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert [done.returncode, *map(int, done.stdout.split())] == ([2] if number == 1 else [0, *[2] * number])
    assert done.stderr == "error: the current folder has been deleted; change to another one first\n" * number
