"""Whether a run folder belongs to a configuration, so that it can be gone on with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foundation import InputError
from nas.options.configuration import options_of
from nas.record.journal import Journal, Record
from proxy_tasks import ProxyTask
from search_space import Decision, Decisions

REFERRED_TO = ("data", "scale", "recipe", "space")
# These may change between two starts of one run: how far it goes, who computes it, what becomes of failures, where
# decoded images lie, what is shown.
MAY_CHANGE = (
    "run",
    "num_trials",
    "executor",
    "failures",
    "max_reused_share",
    "verbosity",
    "tracking",
)


# Options that older runs do not have, and the values that do what those did.
ADDED_SINCE: Mapping[str, object] = {
    "task.latency": False,
    "task.cache_format": "raw",
    "task.per_class_ap": False,
    "warm_start.specs": [],
    "warm_start.top": 10,
    "promotion.num_rungs": 1,
    "promotion.reduction": 4,
    "promotion.keep_weights": True,
}


# Where classes stood in older versions, by the option that names them.
MOVED: Mapping[str, str] = {
    "nas.reward.MetricReward": "nas.engine.reward.MetricReward",
    "nas.reward.TargetReward": "nas.engine.reward.TargetReward",
}


def open_run(
    folder: Path,
    config: Mapping[str, Any],
    task: ProxyTask,
    begin_with: Sequence[Decisions] = (),
    decisions: Sequence[Decision] = (),
) -> Journal:
    """Open a run's journal to resume it, or begin a new one.

    Args:
        folder: the run folder.
        config: the whole configuration.
        task: says which of its options may change between two starts.
        begin_with: see `Journal`.
        decisions: see `Journal`.

    Raises:
        InputError: the folder belongs to another configuration, or see `Journal`.
    """
    journal = Journal(folder, config, begin_with, decisions)
    try:
        check_config(journal.record, folder, config, may_change(task))
    except InputError:
        journal.close()
        raise
    return journal


def may_change(task: ProxyTask) -> tuple[str, ...]:
    """Return the options that may differ between two starts of one run."""
    return (*MAY_CHANGE, *(f"task.{name}" for name in task.option_rules.machine))


def check_config(record: Record, folder: Path, config: Mapping[str, Any], may_change: tuple[str, ...]) -> None:
    """Check that a record was made with this configuration.

    Raises:
        InputError: it was not; the message names one option that differs and both its values.
    """
    recorded, now = dict(options_of(record.created.config)), dict(options_of(config))
    recorded = {name: MOVED.get(str(value), value) for name, value in recorded.items()}
    # A part that others refer to stands in them too; its own name is the one that can be set.
    names = sorted({*now, *recorded}, key=lambda name: (name.split(".")[0] not in REFERRED_TO, name))
    for name in names:
        if any(name == allowed or name.startswith(f"{allowed}.") for allowed in may_change):
            continue
        if (was := recorded.get(name, ADDED_SINCE.get(name))) != (value := now.get(name)):
            raise InputError(
                f"the run folder {folder} was made with {name}={_show(was)}, now it is {_show(value)}; "
                "go on with the recorded value, or name another folder with run=..."
            )


def _show(value: Any) -> str:  # noqa: ANN401  # any YAML value
    return "null" if value is None else str(value)
