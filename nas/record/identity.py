"""Run identity: which options make a run what it is, and how options of older versions read today.

The tables here are the one place for it. An option that `OPTIONS` does not name is part of the problem that a run
solves: it stays as it is between two starts, and runs that are compared should share it. Data is known by its content:
where it lies may change.
"""

import operator
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from foundation import InputError, absolute_path
from nas.options.configuration import options_of
from nas.record.journal import FILE_NAME, Journal, line_asking, read_created
from nas.record.record import Record
from nas.record.trial import Trial
from proxy_tasks.base import DataTask, ProxyTask
from proxy_tasks.latency_options import LatencyOptions
from search_space import Decisions, SearchSpace

MAX_DECODED = 10_000
"""Most trials that are decoded on opening, which takes some 0.3 ms each; see `check_decisions`."""

Changes: TypeAlias = Literal["at any start", "in a replay", "never"]
"""When an option may have another value than the one on record."""

Concern: TypeAlias = Literal["repetition", "machine", "searcher", "problem"]
"""The aspect that an option belongs to: one repetition, the machine, the search algorithm, or the problem to solve."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of an option, with all options below it, for a run."""

    changes: Changes
    concern: Concern


OPTIONS: Mapping[str, Meaning] = {
    "run": Meaning(changes="at any start", concern="repetition"),
    "num_trials": Meaning(changes="at any start", concern="repetition"),
    "baselines": Meaning(changes="at any start", concern="repetition"),
    "max_reused_share": Meaning(changes="at any start", concern="repetition"),
    "verbosity": Meaning(changes="at any start", concern="repetition"),
    "seed": Meaning(changes="in a replay", concern="repetition"),
    "executor": Meaning(changes="at any start", concern="machine"),
    "failures": Meaning(changes="at any start", concern="machine"),
    "tracking": Meaning(changes="at any start", concern="machine"),
    "fidelity": Meaning(changes="in a replay", concern="problem"),
    "controller": Meaning(changes="never", concern="searcher"),
    "promotion": Meaning(changes="never", concern="searcher"),
    "promotion.max_weights_gb": Meaning(changes="at any start", concern="machine"),
    "stopping": Meaning(changes="never", concern="searcher"),
}
"""The options that differ from the rest; which of a task's own options may change is said by the task."""

_THE_REST = Meaning(changes="never", concern="problem")

SEARCHER = tuple(name for name, meaning in OPTIONS.items() if meaning.concern == "searcher")
"""Options that say what searched; runs that are alike in them are repetitions of one search."""

REFERRED_TO = ("data", "scale", "recipe", "space")
"""Parts of the configuration that others refer to, and so repeat."""

UNBUILT = ("data", "recipe")
"""Those of them that do nothing by themselves, only where something refers to them."""

ADDED_SINCE: Mapping[str, object] = {
    "baselines": False,
    "warm_start.specs": [],
    "warm_start.top": 10,
    "promotion.num_rungs": 1,
    "promotion.reduction": 4,
    "promotion.keep_weights": True,
    "promotion.max_weights_gb": None,
    "stopping.shares": [],
    "stopping.worst": 0.5,
    "stopping.min_results": 20,
    "stopping.margin": 0.0,
    "scale.stem_width": 64,
}
"""Options that older runs do not have, with the values that do what those runs did; a task says which of its own."""

ADDED_TO: Mapping[str, Mapping[str, object]] = {
    "search_space.ScalePermutedSpace": {"resolution_paths": False},
}
"""The same by the class that has them, wherever that is named: other classes in its place know nothing of them."""

PLACES = ("warm_start.run",)
"""Options that say where something lies: another spelling of the same place is no other value. A task names its own."""

MOVED_CLASSES: Mapping[str, str] = {
    "nas.reward.MetricReward": "nas.engine.reward.MetricReward",
    "nas.reward.TargetReward": "nas.engine.reward.TargetReward",
    "search_space.load_spec": "nas.record.architecture.base_of_space",
}
"""Classes and functions that stood elsewhere in older versions, by the name that those recorded."""

_LEARNER_OPTIONS = {
    f"controller.{name}": f"controller.learner.{name}"
    for name in (
        "hidden_width",
        "learning_rate",
        "batch_size",
        "entropy_weight",
        "baseline_decay",
        "failure_reward",
        "seed",
    )
}
RENAMED_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "controllers.reinforce.Reinforce": _LEARNER_OPTIONS,
    "controllers.ppo.PPO": _LEARNER_OPTIONS,
}
"""Options that had other names in older versions, by the class that has them."""

_TIMED_BY_NOTHING = {f"task.latency.{name}": value for name, value in asdict(LatencyOptions()).items()}
SWITCHES: Mapping[str, Mapping[str, Mapping[bool, Mapping[str, object]]]] = {
    "proxy_tasks.detection.DetectionProxy": {
        "task.latency": {False: _TIMED_BY_NOTHING, True: _TIMED_BY_NOTHING | {"task.latency.runtime": "torch"}},
    },
}
"""Options that may be true or false, as they were in older versions, and the options that each stands for, by class."""


def open_run(
    folder: Path,
    config: Mapping[str, Any],
    task: ProxyTask,
    space: SearchSpace,
    begin_with: Sequence[Decisions] = (),
) -> Journal:
    """Open a run's journal to resume it, or begin a new one.

    Args:
        folder: the run folder.
        config: the whole configuration.
        task: says which of its options may change between two starts, and once it is tied to data, to which.
        space: that the run searches.
        begin_with: see `Journal`.

    Raises:
        InputError: the folder belongs to another configuration or other data, a trial of it is not of the space, or see
            `Journal`.
    """
    places = task.option_rules.places
    journal = Journal(folder, config, begin_with, space.decisions, _data_content(task), places)
    try:
        check_config(journal.record, folder, config, task, may_change(task))
        check_data(journal.record, folder, task)
        check_decisions(journal.record, folder, space)
    except InputError:
        journal.close()
        raise
    return journal


def options_on_record(folder: Path) -> dict[str, Any] | None:
    """Return the options of a run under their present names, those that are younger included; None without a run.

    Raises:
        InputError: the first line of its journal is damaged.
    """
    created = read_created(folder)
    return None if created is None else complete_options(created.config)


def may_change(task: ProxyTask) -> tuple[str, ...]:
    """Return the options that may differ between two starts of one run."""
    own = [name for name, meaning in OPTIONS.items() if meaning.changes == "at any start"]

    # An option of a part that the task refers to stands there too, as `data.x` beside `task.data.x`.
    of_task = task.option_rules.machine
    referred_to = [name for name in of_task if name.split(".")[0] in REFERRED_TO]
    return (*own, *(f"task.{name}" for name in of_task), *referred_to)


def may_change_in_replay(task: ProxyTask) -> tuple[str, ...]:
    """Return the options that may differ between a search and a replay of its best."""
    own = [name for name, meaning in OPTIONS.items() if meaning.changes == "in a replay"]
    return (*may_change(task), *own, *(f"task.{name}" for name in task.option_rules.replay))


def concern_of(option: str) -> Concern:
    """Return the aspect of a run that an option, given by its whole name, belongs to."""
    return (OPTIONS.get(option) or OPTIONS.get(option.split(".")[0], _THE_REST)).concern


def present_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a configuration, which may be on record, under the names that they and classes have today.

    Options that did not exist yet are not filled in, but for those of `ADDED_TO`.
    """
    moved = {name: MOVED_CLASSES.get(str(value), value) for name, value in options_of(config)}

    renamed: dict[str, str] = {}
    switches: dict[str, Mapping[bool, Mapping[str, object]]] = {}
    present: dict[str, Any] = {}
    for name, value in moved.items():
        if name.endswith("_target_"):
            renamed |= RENAMED_OPTIONS.get(str(value), {})
            switches |= SWITCHES.get(str(value), {})
            added = ADDED_TO.get(str(value), {})
            present |= {f"{name.removesuffix('_target_')}{option}": default for option, default in added.items()}

    for name, value in moved.items():
        if name in switches and isinstance(value, bool):
            present |= switches[name][value]
        else:
            present[renamed.get(name, name)] = value
    return present


def complete_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a configuration under their present names, those that are younger than it included."""
    return {**ADDED_SINCE, **present_options(config)}


def without_unused(names: Collection[str]) -> list[str]:
    """Return the options without those of parts that nothing refers to, as data where the task looks at no image."""
    referring = {name.partition(".")[2] for name in names}
    return [name for name in names if name.split(".")[0] not in UNBUILT or name in referring]


def check_config(
    record: Record, folder: Path, config: Mapping[str, Any], task: ProxyTask, may_change: tuple[str, ...]
) -> None:
    """Check that a record was made with this configuration.

    Data may have moved where its content is on record, for that decides (see `check_data`). Where an older version
    began the run, it must lie where it did, in whatever spelling.

    Raises:
        InputError: it was not; the message names one option that differs and both its values.
    """
    recorded, now = present_options(record.created.config), present_options(config)
    of_data = _data_places(task)
    added = {**ADDED_SINCE, **{f"task.{name}": value for name, value in task.option_rules.added_since.items()}}

    # A part that others refer to stands in them too; its own name is the one that can be set.
    names = sorted(without_unused({*now, *recorded}), key=lambda name: (name.split(".")[0] not in REFERRED_TO, name))

    for name in names:
        if any(name == allowed or name.startswith(f"{allowed}.") for allowed in may_change):
            continue
        was, value = recorded.get(name, added.get(name)), now.get(name)
        may_move = name in of_data and record.created.data is not None
        is_place = name in of_data or name in PLACES
        if was == value or may_move or (is_place and _is_same_place(was, value)):
            continue

        # Nobody can tell what a run of an older version was begun on, but that it was there.
        link = " (a link there to the data is enough)" if name in of_data else ""
        raise InputError(
            f"the run folder {folder} was made with {name}={_show(was)}, now it is {_show(value)}; "
            f"use the recorded value{link}, or name another folder with run=..."
        )


def check_data(record: Record, folder: Path, task: ProxyTask) -> None:
    """Check that a task is tied to the data that a run was begun on, wherever it lies.

    Nothing is checked of a run that an older version began, and of a task that is not tied yet.

    Raises:
        InputError: it is tied to other data; the message names the part that differs.
    """
    recorded, now = record.created.data or {}, _data_content(task)

    # A replay may use more of the data than its search did.
    for part, was in recorded.items():
        value = now.get(part, was)
        if value != was:
            raise InputError(
                f"the run folder {folder} was begun on other {part}: their content had the hash {was}, now it has "
                f"{value}; bring back what was there, or name another folder with run=..."
            )


def check_decisions(record: Record, folder: Path, space: SearchSpace) -> None:
    """Check that the decisions on record are of a space, so that every controller of the space can be told of them.

    In a journal of more than `MAX_DECODED` trials, only the number and the ranges of each trial's options are checked:
    options that exclude each other then go unnoticed.

    Raises:
        InputError: some are not; the message names the line.
    """
    path = folder / FILE_NAME
    for decisions in record.created.begin_with:
        try:
            space.decode(decisions)
        except ValueError as error:
            raise InputError(f"{path}, line 1: created.begin_with: {error}") from None

    num_options = [decision.num_options for decision in space.decisions]
    is_long = len(record.trials) > MAX_DECODED
    for trial in record.trials.values():
        if is_long and _are_in_range(trial.proposal.decisions, num_options):
            continue
        try:
            _check_decoded(trial, space)
        except ValueError as error:
            line = line_asking(folder, trial.number)
            raise InputError(f"{path}, line {line}: asked.decisions: {error}") from None


def _are_in_range(decisions: Decisions, num_options: Sequence[int]) -> bool:
    is_whole = len(decisions) == len(num_options) and min(decisions, default=0) >= 0
    return is_whole and all(map(operator.lt, decisions, num_options))


def _check_decoded(trial: Trial, space: SearchSpace) -> None:
    """Check that a trial's decisions describe its candidate.

    Raises:
        ValueError: they describe another one, or none.
    """
    decoded = space.decode(trial.proposal.decisions)

    # Comparing specs is ten times as fast as making keys; where they differ, only blocks that are not built may.
    if decoded != trial.candidate and decoded.key != trial.candidate.key:
        recorded = trial.candidate.key
        raise ValueError(f"they describe the architecture {decoded.key}, the spec beside them is {recorded}")


def _data_content(task: ProxyTask) -> Mapping[str, str]:
    return task.data_content if isinstance(task, DataTask) else {}


def _data_places(task: ProxyTask) -> set[str]:
    """Return the options that say where a task's data lies; in parts that others refer to, under both their names."""
    own = task.option_rules.places
    shared = {name for name in own if name.split(".")[0] in REFERRED_TO}
    return shared | {f"task.{name}" for name in own}


def _is_same_place(was: Any, value: Any) -> bool:  # noqa: ANN401  # any YAML value
    """Return whether two paths lead to the same place, through links too."""
    if not (isinstance(was, str) and isinstance(value, str)):
        return False
    return os.path.realpath(absolute_path(Path(was))) == os.path.realpath(absolute_path(Path(value)))


def _show(value: Any) -> str:  # noqa: ANN401  # any YAML value
    return "null" if value is None else str(value)
