"""Everything that a run is made of, built from a configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from controllers import Controller
from nas.engine.failures import FailurePolicy
from nas.engine.limits import Limits
from nas.engine.loop import Search
from nas.engine.promotion import Promotion
from nas.engine.reward import Reward
from nas.engine.warm_start import WarmStart
from nas.executors import Executor
from nas.options.builder import build
from nas.record.journal import Journal
from nas.record.trial import Trial
from nas.terminal.search_view import Verbosity
from nas.tracking import TrackedRun, Tracker, Tracking
from proxy_tasks import Fidelity, ProxyTask
from search_space import ModelScale, SearchSpace


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
            option = self.task.option_rules.optional_metrics.get(unknown[0])
            hint = f" (task.{option} measures it)" if option else ""
            raise ValueError(f"reward: no metric {unknown[0]}{hint}; the task has {', '.join(self.task.metric_names)}")
        if all(decision.num_options == 1 for decision in self.space.decisions):
            raise ValueError("space: holds one architecture only, there is nothing to search")
        if len(self.reward.metrics) < self.controller.min_objectives:
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


SHARED_NODES = ("data", "recipe", "block_kinds")
"""Parts of the configuration that others refer to, or that the command line has seen to; not built for themselves."""


def build_setup(config: Mapping[str, Any]) -> Setup:
    """Build everything that a run is made of.

    Raises:
        InputError: a value of the wrong type or out of range; the message names the option.
    """
    return build(Setup, {name: value for name, value in config.items() if name not in SHARED_NODES}, "")
