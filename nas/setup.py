"""Everything that a run is made of, built from a configuration."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controllers.base import Controller
from nas.engine.baselines import BaselinesFirst
from nas.engine.failures import FailurePolicy
from nas.engine.limits import Limits
from nas.engine.loop import Search
from nas.engine.plan import Plan
from nas.engine.reward import Reward, named_metrics
from nas.engine.warm_start import WarmStart
from nas.executors.base import Executor, TrialSource
from nas.executors.ray_cluster import RayExecutor
from nas.executors.threads import wait_without_long_spinning
from nas.options.builder import build
from nas.record.baselines import BASELINE_NAME, Baseline
from nas.record.journal import Journal
from nas.record.promotion import Promotion
from nas.record.ranking import OWN_COLUMNS
from nas.record.stopping import Stopping
from nas.record.trial import Trial
from nas.terminal.console import Verbosity
from nas.tracking.base import Tracker
from proxy_tasks.base import BaselineTask, Fidelity, Numerics, ProxyTask, StoppableTask
from search_space import ModelScale, SearchSpace

SHARED_NODES = ("data", "recipe", "block_kinds")
"""Parts of the configuration that others refer to, or that the command line has handled; not built for themselves."""

LISTED_LIMITS = ("macs", "params")
"""Costs that `experiments/config.yaml` lists for every task, with null for no limit."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that a run is made of; names as in `experiments/config.yaml`.

    Raises:
        ValueError: a number out of range, or parts that do not go together.
    """

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
    limits: Mapping[str, float | None]
    warm_start: WarmStart
    promotion: Promotion
    stopping: Stopping
    failures: FailurePolicy
    max_reused_share: float
    verbosity: Verbosity
    baselines: bool = False
    tracking: Mapping[str, Tracker] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Making the plan checks the numbers in it.
        self._check_metric_names()
        self._check_limited_costs(self.plan.limits)
        self._check_reward()
        self._check_baselines()
        self._check_timeout()
        self._check_stopping()
        if all(decision.num_options == 1 for decision in self.space.decisions):
            raise ValueError("space: holds one architecture only, there is nothing to search")
        if len(self.reward.metrics) < self.controller.min_objectives:
            raise ValueError("controller: needs a reward with costs to trade off, as reward=tradeoff")
        if not 0 <= self.max_reused_share <= 1:
            raise ValueError(f"max_reused_share must be 0 to 1, got {self.max_reused_share}")

    @property
    def plan(self) -> Plan:
        """The number of trials, and how each is handled."""
        return Plan(
            num_trials=self.num_trials,
            seed=self.seed,
            fidelity=self.fidelity,
            limits=Limits(self.limits),
            promotion=self.promotion,
            failures=self.failures,
            stopping=self.stopping,
        )

    @property
    def baseline_names(self) -> tuple[str, ...]:
        """The networks that are trained beside the search, once a run."""
        return self.task.baseline_names if self.baselines and isinstance(self.task, BaselineTask) else ()

    def search(
        self,
        journal: Journal,
        on_change: Callable[[Trial], None] = lambda trial: None,
        on_stop: Callable[[str], None] = lambda why: None,
        on_numerics: Callable[[Numerics], None] = lambda numerics: None,
    ) -> Search:
        """Return the search that this is a set-up of, on a journal; see `Search`."""
        return Search(
            space=self.space,
            controller=self.controller,
            reward=self.reward,
            journal=journal,
            plan=self.plan,
            costs=self.task.costs,
            on_change=on_change,
            on_stop=on_stop,
            on_numerics=on_numerics,
        )

    def source(
        self,
        search: Search,
        on_change: Callable[[Baseline, bool], None] = lambda baseline, has_started: None,
    ) -> TrialSource:
        """Return what an executor runs: the search, and before it the baselines that the run folder lacks."""
        if not self.baseline_names:
            return search
        return BaselinesFirst(search, self.baseline_names, self.run, self.reward, self.plan, on_change)

    def _check_metric_names(self) -> None:
        """Check that no metric has the name of a figure that every trial has: only one of them could be named."""
        taken = [name for name in self.task.metric_names if name in OWN_COLUMNS]
        if taken:
            raise ValueError(
                f"task: a metric is named {taken[0]!r}, which leaderboards have of their own; give it another name"
            )

    def _check_limited_costs(self, limits: Limits) -> None:
        """Check that the task knows every cost that is limited; a limit of null asks for nothing where it is listed."""
        named = [name for name in self.limits if name in limits.names or name not in LISTED_LIMITS]
        unknown = [name for name in named if name not in self.task.cost_names]
        if unknown:
            raise ValueError(f"limits: no cost {unknown[0]}; the task has {', '.join(self.task.cost_names)}")

    def _check_baselines(self) -> None:
        """Check that the task has baselines, under names that can be files, where they are asked for."""
        if not self.baselines:
            return
        if not isinstance(self.task, BaselineTask):
            raise ValueError(
                f"baselines: {type(self.task).__name__} has none (see BaselineTask in proxy_tasks/base.py); leave out "
                "baselines=true"
            )

        # Each becomes a file.
        for name in self.task.baseline_names:
            if not re.fullmatch(BASELINE_NAME, name):
                raise ValueError(f"baselines: a name needs letters, digits, dots and hyphens, got {name!r}")

    def _check_timeout(self) -> None:
        """Check that no trial is ended, its training lost, while a program that it waits for has time left."""
        longest_s = self.task.option_rules.longest_command_s
        limit_s = self.executor.timeout_s if isinstance(self.executor, RayExecutor) else None
        if limit_s is not None and limit_s <= longest_s:
            raise ValueError(
                f"executor.timeout_s must be above {longest_s:g} (task.latency.num_calls times "
                f"task.latency.timeout_s), by the time that a trial is trained for, got {limit_s:g}"
            )

    def _check_stopping(self) -> None:
        """Check that the task can end a training early where that is asked for."""
        if self.stopping.shares and not isinstance(self.task, StoppableTask):
            raise ValueError(
                f"stopping.shares: {type(self.task).__name__} cannot end a training early (see StoppableTask in "
                "proxy_tasks/base.py); leave them out"
            )

    def _check_reward(self) -> None:
        """Check that the task measures everything that the reward names."""
        known = self.task.metric_names
        unknown = sorted(set(named_metrics(self.reward)) - set(known))
        if unknown:
            option = self.task.option_rules.optional_metrics.get(unknown[0])
            hint = f" (task.{option} measures it)" if option else ""
            raise ValueError(f"reward: no metric {unknown[0]}{hint}; the task has {', '.join(known)}")


def build_setup(config: Mapping[str, Any]) -> Setup:
    """Build everything that a run is made of.

    Raises:
        InputError: a value of the wrong type or out of range; the message names the option.
    """
    # Building a controller may load torch, which hears this only before.
    wait_without_long_spinning()
    return build(Setup, {name: value for name, value in config.items() if name not in SHARED_NODES}, "")
