"""The trainings of a table that a surrogate is fitted to: alike but for architecture and seed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from foundation import InputError, first_error, short_path
from proxy_tasks.base import Fidelity
from proxy_tasks.surrogate.forest import Floats
from proxy_tasks.training_table import TableTask, TrainingRow, TrainingTable
from search_space import ArchSpec, Decision, ModelScale

MIN_ARCHITECTURES = 10
"""Fewest architectures that anything can be said from."""
COSTS = ("macs", "params")
"""Metrics that are counted of a network and not predicted."""
TARGET = "ap"
"""The metric that decides how a surrogate is fitted."""
_DETECTION = "proxy_tasks.detection.DetectionProxy"
_SCALE = "task.scale."


@dataclass(frozen=True, slots=True)
class Conditions:
    """All that trainings must share for their metrics to compare.

    Attributes:
        task: identity of the task in its table.
        decisions: of the space that the architectures are from.
        fidelity: amount of training.
        precision: number format that was trained in; empty where it is not on record.
    """

    task: str
    decisions: tuple[Decision, ...]
    fidelity: Fidelity
    precision: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """N architectures, trained under the same conditions, with D figures each.

    Attributes:
        conditions: those that all trainings share.
        scale: size of the networks.
        specs: (N,) the architectures, sorted by key.
        costs: (N,) of each network, as recorded.
        metric_names: of the first figures, `TARGET` before all others.
        duration_names: of the other figures, in seconds.
        figures: (N, D) means over the seeds of each architecture.
        noise: of each metric, the standard deviation of one training around the mean of its architecture, pooled; 0
            where no architecture has several.
        bounds: (2, M) of each metric, what it cannot be below and above: 0 and 1 where no mean is.
        num_repeated: architectures that have several trainings.
        num_trainings: trainings that are averaged.
        num_left_out: other trainings of the table.
    """

    conditions: Conditions
    scale: ModelScale
    specs: tuple[ArchSpec, ...]
    costs: tuple[Mapping[str, float], ...]
    metric_names: tuple[str, ...]
    duration_names: tuple[str, ...]
    figures: Floats
    noise: Floats
    bounds: Floats
    num_repeated: int
    num_trainings: int
    num_left_out: int


def recorded_in(table: TrainingTable, path: Path) -> Recorded:
    """Return the largest part of a table whose trainings compare.

    Baselines, architectures with scales of their own, trainings that may have gone on from shorter ones, and those
    without AP or costs are in no part.

    Args:
        table: the table.
        path: its file, for messages.

    Raises:
        InputError: it has too few trainings of `task=detection`, or options of a scale that this version does not know.
    """
    parts: dict[Conditions, dict[str, list[TrainingRow]]] = defaultdict(lambda: defaultdict(list))
    for row in table.rows:
        is_detector = table.tasks[row.task].options.get("task._target_") == _DETECTION
        is_measured = {TARGET, *COSTS} <= row.metrics.keys()
        is_one_scale = row.spec is not None and row.scale is None
        if is_detector and is_measured and is_one_scale and row.space is not None and not row.is_continued:
            precision = row.numerics.precision if row.numerics else ""
            conditions = Conditions(row.task, table.spaces[row.space].decisions, row.fidelity, precision)
            parts[conditions][row.key].append(row)

    # Of parts that are equally large the first: the rows of a table are sorted.
    most = max(map(len, parts.values()), default=0)
    if most < MIN_ARCHITECTURES:
        raise InputError(
            f"{short_path(path)}: has {most} architectures that task=detection trained alike, and at least "
            f"{MIN_ARCHITECTURES} are needed; python -m nas.table adds those of further runs"
        )
    conditions, by_key = next(part for part in parts.items() if len(part[1]) == most)
    scale = _scale_of(table.tasks[conditions.task], path)
    return _averaged(conditions, scale, [by_key[key] for key in sorted(by_key)], len(table.rows))


def _averaged(conditions: Conditions, scale: ModelScale, groups: Sequence[Sequence[TrainingRow]], num: int) -> Recorded:
    """Return means and noise of the trainings of each architecture, `num` being all rows of the table."""
    rows = [row for group in groups for row in group]
    measured = [name for name in rows[0].metrics if all(name in row.metrics for row in rows)]
    metrics = (TARGET, *(name for name in measured if name not in (TARGET, *COSTS)))
    durations = tuple(name for name in rows[0].seconds if all(name in row.seconds for row in rows))

    means, squares = [], np.zeros(len(metrics))
    for group in groups:
        values = np.array([[row.metrics[name] for name in metrics] for row in group])  # (S, M)
        seconds = np.array([[row.seconds[name] for name in durations] for row in group])
        means.append([*values.mean(0), *seconds.mean(0)])
        squares += ((values - values.mean(0)) ** 2).sum(0)

    # Each mean takes one degree of freedom.
    degrees = len(rows) - len(groups)
    figures = np.array(means)
    lowest, highest = figures[:, : len(metrics)].min(0), figures[:, : len(metrics)].max(0)
    return Recorded(
        conditions=conditions,
        scale=scale,
        specs=tuple(group[0].spec for group in groups if group[0].spec is not None),
        costs=tuple({name: group[0].metrics[name] for name in COSTS} for group in groups),
        metric_names=metrics,
        duration_names=durations,
        figures=figures,
        noise=np.sqrt(squares / max(degrees, 1)),
        bounds=np.stack([np.where(lowest >= 0, 0.0, -np.inf), np.where(highest <= 1, 1.0, np.inf)]),
        num_repeated=sum(len(group) > 1 for group in groups),
        num_trainings=len(rows),
        num_left_out=num - len(rows),
    )


def _scale_of(task: TableTask, path: Path) -> ModelScale:
    """Return the scale that a task of detection had."""
    options = {name.removeprefix(_SCALE): value for name, value in task.options.items() if name.startswith(_SCALE)}
    try:
        return TypeAdapter(ModelScale).validate_python(options)
    except ValidationError as error:
        raise InputError(f"{short_path(path)}: the scale of its networks: {first_error(error)}") from None
