"""Absurd numbers: every numeric option either takes one or refuses it in one line, at once."""

import copy
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from controllers.evolution import RegularizedEvolution
from controllers.learner import LearnerSettings
from controllers.local_search import LocalSearch
from controllers.pareto_evolution import ParetoEvolution
from controllers.ppo import PPO
from foundation import InputError
from nas import export, leaderboard, replay, report
from nas.engine.failures import FailurePolicy
from nas.engine.plan import Plan
from nas.engine.reward import Target
from nas.engine.warm_start import WarmStart
from nas.executors.ray_cluster import RayExecutor
from nas.options.builder import build, option_types
from nas.options.command_line import compose
from nas.options.listed import choice_files, included_groups
from nas.record.promotion import Promotion
from nas.setup import build_setup
from proxy_tasks.base import Fidelity
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.landscape import Landscape
from search_space import ScalePermutedSpace, resnet_seed

ABSURD = (2**62, 2**64, 10**30, 1e300, -1e300, math.nan, math.inf)
SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))
BASE = ("task=landscape", "executor=local", "tracking=none")
MAX_SECONDS = 3.0
"""Most processor time that an answer may take. By the clock it may be any on a machine that has more to do."""

BOUNDED: Mapping[str, Callable[[Any], object]] = {
    "population_size": lambda value: RegularizedEvolution(SPACE, population_size=value),
    "population_size of a front": lambda value: ParetoEvolution(SPACE, population_size=value),
    "tournament_size": lambda value: RegularizedEvolution(SPACE, tournament_size=value),
    "num_random": lambda value: RegularizedEvolution(SPACE, num_random=value),
    "patience": lambda value: LocalSearch(SPACE, patience=value),
    "num_epochs": lambda value: PPO(SPACE, num_epochs=value),
    "clip": lambda value: PPO(SPACE, clip=value),
    "learning_rate": lambda value: LearnerSettings(learning_rate=value, entropy_weight=0),
    "entropy_weight": lambda value: LearnerSettings(0.1, entropy_weight=value),
    "hidden_width": lambda value: LearnerSettings(0.1, 0, hidden_width=value),
    "batch_size": lambda value: LearnerSettings(0.1, 0, batch_size=value),
    "failure_reward": lambda value: LearnerSettings(0.1, 0, failure_reward=value),
    "num_trials": lambda value: Plan(value, 0, Fidelity(1)),
    "num_rungs": lambda value: Promotion(num_rungs=value),
    "reduction": lambda value: Promotion(reduction=value),
    "max_retries": lambda value: FailurePolicy(max_retries=value),
    "window": lambda value: FailurePolicy(window=value),
    "target": lambda value: Target(target=value),
    "top of a warm start": lambda value: WarmStart(top=value),
    "cpus_per_trial": lambda value: RayExecutor(cpus_per_trial=value),
    "gpus_per_trial": lambda value: RayExecutor(gpus_per_trial=value),
    "max_concurrent": lambda value: RayExecutor(max_concurrent=value),
    "timeout_s": lambda value: RayExecutor(timeout_s=value),
}
"""Numbers that something would break or hang on, each with what takes it."""
SEEDS: Mapping[str, Callable[[Any], object]] = {
    "seed": lambda value: Plan(1, value, Fidelity(1)),
    "seed of a policy": lambda value: LearnerSettings(0.1, 0, seed=value),
    "seed of the landscape": lambda value: Landscape(seed=value),
    "seed of shapes": lambda value: Shapes("x", seed=value),  # type: ignore[arg-type]  # no path is looked at
    "split_seed": lambda value: Shapes("x", split_seed=value),  # type: ignore[arg-type]  # as above
}
NEEDED: Mapping[str, tuple[str, ...]] = {
    "grid": ("space=spinenet_scaling", "scale=spinenet-49"),
    "spinenet_scaling": ("scale=spinenet-49",),
    "joint": ("scale=spinenet-49",),
    "pareto_evolution": ("reward=tradeoff",),
    "targets": ("reward.macs.target=1e9",),
    "weighed": ("reward.weights.ap=0.5",),
    "mask_ap": ("task=segmentation",),
    "top1": ("task=classification",),
}
"""Options without which some choices are refused, whatever numbers they have."""


@pytest.mark.parametrize("absurd", ABSURD)
@pytest.mark.parametrize("name", BOUNDED)
def test_every_number_that_could_break_a_search_has_bounds(name: str, absurd: float) -> None:
    with pytest.raises(ValueError, match=f"^{name.split()[0]} must be ") as caught:
        BOUNDED[name](absurd)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("absurd", [2**64, 10**30, -1, 1e300, math.nan])
@pytest.mark.parametrize("name", SEEDS)
def test_a_seed_has_64_bits_at_most(name: str, absurd: float) -> None:
    with pytest.raises(ValueError, match=f"^{name.split()[0]} must be ") as caught:
        SEEDS[name](absurd)
    assert "\n" not in str(caught.value)


def test_a_share_of_a_gpu_is_none_that_ray_cannot_count() -> None:
    RayExecutor(gpus_per_trial=0)
    RayExecutor(gpus_per_trial=1e-4)
    with pytest.raises(ValueError, match=re.escape("Ray counts in 1/10,000 of a GPU")):
        RayExecutor(gpus_per_trial=1e-310)


def test_rungs_whose_training_would_never_end_are_refused_before_the_first_trial() -> None:
    Plan(1, 0, Fidelity(5), promotion=Promotion(num_rungs=9))
    message = "promotion: its last rung trains for fidelity.epochs times 1.04858e+06, and epochs must be from 1e-06"
    with pytest.raises(ValueError, match=re.escape(message)):
        Plan(1, 0, Fidelity(5), promotion=Promotion(num_rungs=11))


def choices() -> Iterator[tuple[str, ...]]:
    """Return the arguments that choose each choice of each group, and the group whose options are looked at."""
    yield ()
    for group, _ in included_groups("config"):
        for path in choice_files(group):
            if group in ("config", "experiment", "tracking"):
                continue
            task = ["task=detection"] if group in ("data", "scale", "recipe") else []
            yield (f"{group}={path.stem}", *task, *NEEDED.get(path.stem, ()))


def numbers_of(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the names of all options below a part of a configuration that take a number or a list of numbers."""
    node: Any = config
    for part in prefix.split(".")[:-1]:
        node = node[part]
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from numbers_of(config, f"{prefix}{name}.")
        elif isinstance(value, list):
            if any(isinstance(element, int | float) for element in value):
                yield f"{prefix}{name}"
        elif {int, float} & set(option_types({**config, "_target_": "nas.setup.Setup"}, f"{prefix}{name}")):
            yield f"{prefix}{name}"


def with_value(config: Mapping[str, Any], name: str, value: float) -> dict[str, Any]:
    """Return a configuration in which an option has a value; of a list it is the last element's."""
    changed: dict[str, Any] = copy.deepcopy(dict(config))
    node: Any = changed
    *parents, last = name.split(".")
    for part in parents:
        node = node[part]
    node[last] = [*node[last][:-1], value] if isinstance(node[last], list) else value
    return changed


def refuse_in_one_line_or_take(make: Callable[[], object], what: str) -> None:
    started = time.process_time()
    message = ""
    try:
        make()
    except InputError as error:
        message = str(error)
    assert "\n" not in message, what
    assert time.process_time() - started < MAX_SECONDS, what


@pytest.mark.long
@pytest.mark.parametrize("arguments", [*choices()], ids=lambda arguments: arguments[0] if arguments else "search")
def test_no_number_given_to_any_option_of_a_search_is_a_traceback_or_takes_long(arguments: tuple[str, ...]) -> None:
    overridden = {argument.partition("=")[0] for argument in arguments}
    config = compose("config", [*(base for base in BASE if base.partition("=")[0] not in overridden), *arguments])

    # Whatever is imported for the first time is imported here, and not while an answer is timed.
    build_setup(config)

    # Of a choice its own options alone: the others are looked at by themselves.
    own = [arguments[0].partition("=")[0]] if arguments else ["num_trials", "seed", "fidelity", "limits", "warm_start"]
    own += [] if arguments else ["promotion", "failures", "max_reused_share"]
    own += [f"task.{name}" for name in own if name in ("data", "scale", "recipe")]
    names = [name for name in numbers_of(config) if any(f"{name}.".startswith(f"{part}.") for part in own)]
    for name in names:
        for absurd in (*ABSURD, -1, 0, 5e-324, 10**7):
            changed = with_value(config, name, absurd)
            refuse_in_one_line_or_take(lambda: build_setup(changed), f"{name}={absurd}")  # noqa: B023  # called here


@pytest.mark.parametrize("absurd", ABSURD)
@pytest.mark.parametrize("command", [export, leaderboard, replay, report])
def test_no_command_lists_more_architectures_than_a_run_can_have(command: Any, absurd: float) -> None:  # noqa: ANN401
    name = command.__name__.rpartition(".")[2]
    config = {**compose(name, ["run=run"]), "top": absurd}
    known = {option: config[option] for option in command.Options.__dataclass_fields__ if option in config}
    with pytest.raises(InputError, match=r"^top"):
        build(command.Options, known, "")
