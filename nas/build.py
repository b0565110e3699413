"""From a composed configuration to the objects it names, every value checked on the way."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from rich.console import Console

from controllers import Controller, ParetoEvolution
from nas.executors import Executor
from nas.failures import FailurePolicy
from nas.journal import Journal
from nas.limits import Limits
from nas.loop import Search
from nas.promotion import Promotion
from nas.reward import Reward
from nas.search_view import Verbosity
from nas.tracking import TrackedRun, Tracker, Tracking
from nas.trial import Trial
from nas.warm_start import WarmStart
from proxy_tasks import Fidelity, ProxyTask
from search_space import InputError, ModelScale, SearchSpace
from search_space.paths import absolute_path
from search_space.spec_file import first_error

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that a run is made of; names as in `experiments/config.yaml`."""

    run: Path
    num_trials: int
    seed: int
    fidelity: Fidelity
    space: SearchSpace
    controller: Controller
    task: ProxyTask
    reward: Reward
    executor: Executor
    scale: ModelScale
    limits: Limits
    warm_start: WarmStart
    promotion: Promotion
    failures: FailurePolicy
    max_reused_share: float
    verbosity: Verbosity
    tracking: Mapping[str, Tracker] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.num_trials < 1:
            raise ValueError(f"num_trials must be 1 or more, got {self.num_trials}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be 0 to {2**32 - 1}, got {self.seed}")
        if unknown := sorted(set(self.reward.metrics) - set(self.task.metric_names)):
            hint = " (task.latency=true measures it)" if unknown[0] == "latency_ms" else ""
            raise ValueError(f"reward: no metric {unknown[0]}{hint}; the task has {', '.join(self.task.metric_names)}")
        if all(decision.num_options == 1 for decision in self.space.decisions):
            raise ValueError("space: holds one architecture only, there is nothing to search")
        if isinstance(self.controller, ParetoEvolution) and len(self.reward.metrics) < 2:
            raise ValueError("controller: needs a reward with costs to trade off, as reward=tradeoff")
        if not 0 <= self.max_reused_share <= 1:
            raise ValueError(f"max_reused_share must be 0 to 1, got {self.max_reused_share}")

    def search(
        self,
        journal: Journal,
        on_change: Callable[[Trial], None] = lambda trial: None,
        on_stop: Callable[[str], None] = lambda why: None,
    ) -> Search:
        """Return the search that this is a set-up of, on a journal; see `Search`."""
        return Search(
            space=self.space,
            controller=self.controller,
            reward=self.reward,
            journal=journal,
            fidelity=self.fidelity,
            num_trials=self.num_trials,
            seed=self.seed,
            limits=self.limits,
            costs=self.task.costs,
            promotion=self.promotion,
            failures=self.failures,
            on_change=on_change,
            on_stop=on_stop,
        )

    def track(self, journal: Journal, console: Console, loud: Console) -> Tracking:
        """Return what shows a journal in all trackers; what they fail with is said on the loud console."""
        created = journal.record.created
        run = TrackedRun(journal.folder, created.time, created.config)
        say, warn = (partial(one.print, soft_wrap=True) for one in (console, loud))
        return Tracking(self.tracking, run, journal.record, say, warn)

    def tracking_hints(self, run: Path) -> list[str]:
        """Return what a person does to see the run in a folder in each tracker."""
        return [hint for tracker in self.tracking.values() if (hint := tracker.hint(run))]


SHARED_NODES = ("data", "recipe")
"""Parts of the configuration that others refer to; not built for themselves."""


def build_setup(config: Mapping[str, Any]) -> Setup:
    """Build everything that a run is made of.

    Raises:
        InputError: a value of the wrong type or out of range; the message names the option.
    """
    return build(Setup, {name: value for name, value in config.items() if name not in SHARED_NODES}, "")


def build(cls: type[T], node: Mapping[str, Any], where: str) -> T:
    """Call `cls` with the values of `node`.

    Values are converted to the types in the signature and checked against them. A value that is a mapping with
    `_target_` is built first; paths become absolute, as workers run in other folders.

    Raises:
        InputError: see `build_setup`.
    """
    values = {name: _build_value(value, f"{where}.{name}".lstrip(".")) for name, value in node.items()}
    try:
        arguments = _arguments_model(cls)
    except (TypeError, ValueError, KeyError, NameError) as error:
        raise InputError(f"{where}._target_: {cls} cannot be called with named options: {error}") from None
    try:
        checked = arguments.model_validate(values)
        given = {name: getattr(checked, name) for name in checked.model_fields_set}
        return cls(**{name: _absolute(value) for name, value in given.items()})
    except ValidationError as error:
        problem = first_error(error)
        raise InputError(f"{where}.{problem}".lstrip(".")) from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{where}: {error}" if where else str(error)) from None


def _build_value(value: Any, where: str) -> Any:  # noqa: ANN401  # any YAML value
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: needs a finite number, got {value}")
    if value == "":
        raise InputError(f"{where}: needs a value")
    if not isinstance(value, Mapping):
        return value
    if "_target_" not in value:
        return {name: _build_value(v, f"{where}.{name}") for name, v in value.items()}
    target = _locate(str(value["_target_"]), where)
    return build(target, {name: v for name, v in value.items() if name != "_target_"}, where)


def _absolute(value: object) -> object:
    """Return a path, or several, as absolute ones, as workers run in other folders; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(_absolute(one) for one in value)
    return absolute_path(value) if isinstance(value, Path) else value


def _locate(path: str, where: str) -> type[Any]:
    module_name, _, name = path.rpartition(".")
    try:
        target = getattr(import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{where}._target_: cannot import {path}: {error}") from None
    if not callable(target):
        raise InputError(f"{where}._target_: {path} is no class or function")
    found: type[Any] = target
    return found


def _arguments_model(target: type[Any]) -> type[BaseModel]:
    """Return a pydantic model of the arguments of a class or function."""
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    fields: dict[str, Any] = {
        name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(target).parameters.items()
    }
    return create_model(target.__name__, __config__=ConfigDict(arbitrary_types_allowed=True, extra="forbid"), **fields)
