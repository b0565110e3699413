"""What may and what may not be put together into a run."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from foundation import InputError
from nas.engine.reward import Target, TargetReward
from nas.executors.local import LocalExecutor
from nas.options.command_line import compose
from nas.record.journal import Journal, read_record
from nas.setup import Setup, build_setup
from proxy_tasks.base import NO_WEIGHTS, BadSpecError, Evaluation, Fidelity, OptionRules, ProxyTask, Report, Weights
from proxy_tasks.landscape import Landscape
from search_space import Candidate

TASK = Landscape()


@dataclass(frozen=True, slots=True)
class Measured:
    """The landscape, with the energy of one image as a cost: a joule for each 10 billion multiply-adds."""

    @property
    def metric_names(self) -> tuple[str, ...]:
        return (*TASK.metric_names, "energy_j")

    @property
    def cost_names(self) -> tuple[str, ...]:
        return ("energy_j",)

    @property
    def option_rules(self) -> OptionRules:
        return OptionRules()

    def prepare(self, report: Report) -> tuple[str, ...]:
        return ()

    def verify(self, report: Report) -> None: ...

    def load(self) -> None: ...

    def numerics(self) -> None: ...

    def costs(self, candidate: Candidate) -> Mapping[str, float]:
        return {"energy_j": TASK.costs(candidate)["macs"] / 10e9}

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        found = TASK.evaluate(candidate, fidelity=fidelity, seed=seed)
        return Evaluation({**found.metrics, **self.costs(candidate)})


def config_of(*arguments: str) -> dict[str, Any]:
    return compose("config", ["task=landscape", "executor=local", "tracking=none", "num_trials=20", *arguments])


def measured_setup(limits: Mapping[str, float | None], reward: TargetReward | None = None) -> Setup:
    setup = build_setup(config_of())
    return replace(setup, task=Measured(), limits=limits, reward=reward or setup.reward)


def test_a_task_s_own_cost_can_be_limited_and_have_a_target(tmp_path: Path) -> None:
    assert isinstance(Measured(), ProxyTask)
    # Null asks for nothing, whatever the task has.
    setup = measured_setup({"macs": None, "energy_j": 1.9}, TargetReward("ap", energy_j=Target(1.0)))
    with Journal(tmp_path, {}) as journal:
        LocalExecutor().run(setup.search(journal), setup.task)
        trials = journal.record.trials.values()
    assert {trial.status for trial in trials} == {"completed", "rejected"}
    for trial in trials:
        energy_j = trial.metrics["energy_j"]
        assert (energy_j > 1.9) == (trial.status == "rejected")
        if trial.status == "rejected":
            assert trial.failure is not None
            assert trial.failure.message == f"energy_j {energy_j:.4g}, limit 1.9"
        else:
            assert trial.reward == pytest.approx(trial.metrics["ap"] * min(1.0, 1.0 / energy_j))


def test_a_limit_on_a_cost_that_the_task_has_not_is_one_line_that_lists_those_it_has() -> None:
    config = config_of()
    with pytest.raises(InputError, match=r"^limits: no cost energy_j; the task has macs, params$"):
        build_setup({**config, "limits": {**config["limits"], "energy_j": 3}})
    with pytest.raises(ValueError, match=r"^limits: no cost macs; the task has energy_j$"):
        measured_setup({"macs": 1e9})


def test_a_limit_of_null_on_a_cost_that_nobody_knows_is_refused_too() -> None:
    with pytest.raises(InputError, match=r"^limits: no cost nope; the task has macs, params$"):
        build_setup(config_of("limits.nope=null"))
    # The costs that the YAML lists need not be the task's.
    assert measured_setup({"macs": None, "params": None, "energy_j": None}).plan.limits.names == ()


def test_a_metric_that_would_hide_behind_a_figure_of_every_trial_is_refused() -> None:
    setup = build_setup(config_of())
    for name in ("reward", "trial", "rung", "seconds", "run", "key", "reused_by"):
        with pytest.raises(
            ValueError, match=f"^task: a metric is named '{name}', which leaderboards have of their own"
        ):
            replace(setup, task=Named(name))


@dataclass(frozen=True, slots=True)
class Named(Measured):
    """A task whose second metric has a name that is given."""

    name: str

    @property
    def metric_names(self) -> tuple[str, ...]:
        return ("ap", self.name)


def test_a_target_for_a_metric_that_the_task_has_not_is_one_line_that_lists_those_it_has() -> None:
    with pytest.raises(ValueError, match=r"^reward: no metric watts; the task has ap, macs, params, energy_j$"):
        measured_setup({}, TargetReward("ap", watts=Target(3)))


def test_a_target_of_null_for_a_metric_that_nobody_knows_is_refused_too() -> None:
    given = ("reward=targets", "reward.macs.target=1e9")
    with pytest.raises(InputError, match=r"^reward: no metric nope; the task has ap, macs, params$"):
        build_setup(config_of(*given, "reward.nope.target=null"))
    # The costs that the YAML lists need not be the task's.
    assert build_setup(config_of(*given, "reward.latency_ms.target=null")).reward.metrics == ("ap", "macs")
    measured_setup({}, TargetReward("ap", energy_j=Target(3), latency_ms=Target()))


def test_a_target_for_a_metric_that_an_option_adds_names_that_option() -> None:
    given = ["experiment=quickstart", "task=detection", "reward=targets", "reward.latency_ms.target=5"]
    message = "reward: no metric latency_ms (task.latency=true measures it); the task has ap, "
    with pytest.raises(InputError, match=re.escape(message)):
        build_setup(compose("config", given))
    assert "latency_ms" in build_setup(compose("config", [*given, "task.latency=true"])).reward.metrics


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("limits.macs=0", r"^limits\.macs must be above 0, or null for no limit, got 0\.0$"),
        ("limits.macs=many", r"^limits\.macs: Input should be a valid number"),
        ("num_trials=0", "^num_trials must be from 1 to .*, got 0$"),
        ("seed=4294967296", "^seed must be 0 to 4294967295, got 4294967296$"),
        ("controller=pareto_evolution", "^controller: needs a reward with costs to trade off, as reward=tradeoff$"),
        ("max_reused_share=2", r"^max_reused_share must be 0 to 1, got 2\.0$"),
    ],
)
def test_what_does_not_go_together_is_one_line(argument: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_setup(config_of(argument))


@dataclass(frozen=True, slots=True)
class Odd(Measured):
    """A task whose costs are what they should not be."""

    energy_j: float | None

    def costs(self, candidate: Candidate) -> Mapping[str, float]:
        if self.energy_j is None:
            raise BadSpecError("a block is left no channel")
        return {"energy_j": self.energy_j}


@pytest.mark.parametrize(
    ("energy_j", "status", "kind"),
    [(math.inf, "rejected", "over_limit"), (math.nan, "rejected", "over_limit"), (None, "failed", "bad_spec")],
)
def test_a_cost_that_is_no_number_ends_its_trial_and_not_the_search(
    tmp_path: Path, energy_j: float | None, status: str, kind: str
) -> None:
    setup = replace(measured_setup({"energy_j": 1.0}), task=Odd(energy_j), num_trials=3)
    with Journal(tmp_path, {}) as journal:
        LocalExecutor().run(setup.search(journal), setup.task)
    trials = read_record(tmp_path).trials.values()
    assert [trial.status for trial in trials] == [status] * 3
    assert {trial.failure.kind for trial in trials if trial.failure} == {kind}


def test_baselines_are_refused_in_one_line_of_a_task_that_has_none_and_of_names_that_are_no_files() -> None:
    class Leading(Landscape):
        baseline_names = ("../journal",)

    setup = build_setup(config_of("baselines=true"))
    assert setup.baseline_names == ("spinenet-49",)
    assert build_setup(config_of()).baseline_names == ()
    with pytest.raises(ValueError, match=r"^baselines: Measured has none .*; leave out baselines=true$"):
        replace(setup, task=Measured())
    with pytest.raises(ValueError, match=r"^baselines: a name needs letters, digits, .*, got '\.\./journal'$"):
        replace(setup, task=Leading())


@pytest.mark.parametrize(("timeout_s", "is_refused"), [(60, True), (61, False), ("null", False)])
def test_an_executor_that_would_end_trials_while_they_are_timed_is_refused(
    timeout_s: float | str, *, is_refused: bool
) -> None:
    latency = ("runtime=command", "device_name=nano", "command='bench {file}'", "num_calls=3", "timeout_s=20")
    options = [f"task.latency.{option}" for option in latency]
    config = compose(
        "config",
        ["experiment=quickstart", "executor=ray", f"executor.timeout_s={timeout_s}", "tracking=none", *options],
    )
    if not is_refused:
        build_setup(config)
        return
    with pytest.raises(InputError, match=re.escape("executor.timeout_s must be above 60 (")):
        build_setup(config)
