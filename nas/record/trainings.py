"""The trainings of run folders, as rows of a table: those of searches, replays, studies and baselines."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from foundation import InputError, short_path
from nas.record.baselines import FOLDER as BASELINES
from nas.record.baselines import Baseline, read_baselines
from nas.record.events import Created
from nas.record.identity import ADDED_SINCE, present_options
from nas.record.journal import FILE_NAME, has_trials, leads_out, read_record
from nas.record.record import Record
from nas.record.replays import REPLAYS, recorded_fidelity, recorded_promotion
from nas.record.trial import Trial
from proxy_tasks.coco.folder import MACHINE
from proxy_tasks.training_table import EMPTY_TABLE, Source, TableSpace, TableTask, TrainingRow, TrainingTable

_BELOW = (f"{REPLAYS}/*", "proxy/*/*/*")
"""Folders below a run that hold runs of their own: replays, one a seed, and studies, one a proxy and seed."""
_DIGITS_OF_SECONDS = 3


def trainings_of(folders: Sequence[Path], warn: Callable[[str], None] = lambda line: None) -> TrainingTable:
    """Return the completed trainings of run folders, those of their replays and studies included, as one table.

    A run may be under way: what is on record counts.

    Args:
        folders: of the runs.
        warn: called with a line on what is not read: a path that holds no run, or leads out of its run folder.

    Raises:
        InputError: a path that does not exist, no run at all, or a journal or a baseline that is damaged.
    """
    tables = []
    for folder in folders:
        if not folder.exists():
            raise InputError(f"no run at {short_path(folder)}: there is no such folder")
        begun = [own for own in _run_folders(folder, warn) if has_trials(own)]
        if not begun:
            warn(f"{short_path(folder)} holds no run that has begun, so that it adds nothing")
        tables += [_of_one_run(own) for own in begun]
    if not tables:
        raise InputError("run: none of these holds a run that has begun; name run folders, as runs/*")
    return EMPTY_TABLE.joined(tables)


def _run_folders(folder: Path, warn: Callable[[str], None]) -> Iterator[Path]:
    """Yield a run folder and those of its replays and studies, without those of which something leads out of it."""
    yield folder
    for pattern in _BELOW:
        for journal in sorted(folder.glob(f"{pattern}/{FILE_NAME}")):
            if any(leads_out(path, folder) for path in (journal, *(journal.parent / BASELINES).glob("*.json"))):
                warn(f"{short_path(journal.parent)} leads out of the run folder, so that it is not read")
            else:
                yield journal.parent


def _of_one_run(folder: Path) -> TrainingTable:
    record = read_record(folder)
    created = record.created
    task_identity, task = _task_of(created)
    space_identity, space = _space_of(created)

    rows = [
        _trial_row(trial, record, source, task_identity, space_identity)
        for trial, source in zip(record.trials.values(), _sources(folder, record), strict=True)
        if trial.status == "completed"
    ]
    rows += [
        _baseline_row(baseline, created, task_identity)
        for baseline in read_baselines(folder)
        if baseline.status == "completed"
    ]
    return TrainingTable({task_identity: task}, {space_identity: space}, tuple(rows))


def _trial_row(trial: Trial, record: Record, source: Source, task: str, space: str) -> TrainingRow:
    created = record.created
    controller = str(present_options(created.config).get("controller._target_", "")).rpartition(".")[2]
    return TrainingRow(
        task=task,
        source=source,
        key=trial.key,
        spec=trial.spec,
        scale=trial.scale,
        space=space,
        decisions=trial.proposal.decisions,
        controller=controller if controller and source in ("drawn", "proposed") else None,
        seed=_seed(created),
        fidelity=recorded_fidelity(created, trial.rung),
        is_continued=_is_continued(trial, created),
        numerics=trial.numerics,
        metrics=trial.metrics,
        loss_curve=trial.loss_curve,
        seconds=_rounded(trial.seconds),
    )


def _is_continued(trial: Trial, created: Created) -> bool:
    """Return whether a trial may have continued from kept weights; a task that says so has the epochs before it."""
    if trial.rung == 0 or not recorded_promotion(created).keep_weights:
        return False
    return trial.metrics.get("epochs_before") != 0


def _baseline_row(baseline: Baseline, created: Created, task: str) -> TrainingRow:
    return TrainingRow(
        task=task,
        source="baseline",
        key=baseline.name,
        seed=_seed(created),
        fidelity=recorded_fidelity(created, 0),
        numerics=baseline.numerics,
        metrics=baseline.metrics,
        loss_curve=baseline.loss_curve,
        seconds=_rounded(baseline.seconds),
    )


def _sources(folder: Path, record: Record) -> Iterator[Source]:
    """Yield for each trial, by number, where it is from."""
    created = record.created
    num_drawn = _num_rewards_before_learning(present_options(created.config))

    # Rewards that the controller had been told when it was asked for a trial: it alone decides what that draws.
    learnt = [0]
    for number in record.told:
        trial = record.trials[number]
        learnt.append(learnt[-1] + (trial.rung == 0 and trial.reward is not None))

    for trial in record.trials.values():
        if folder.parent.name == REPLAYS:
            yield "replay"
        elif record.is_given(trial.number):
            yield "given"
        elif trial.rung > 0:
            yield "promoted"
        elif num_drawn is None or learnt[record.asked_after[trial.number]] < num_drawn:
            yield "drawn"
        else:
            yield "proposed"


def _num_rewards_before_learning(options: Mapping[str, Any]) -> int | None:
    """Return after how many rewards a controller no longer draws all proposals from the space; None for never.

    Of controllers that are not known here nothing counts as drawn.
    """
    match str(options.get("controller._target_", "")).rpartition(".")[2]:
        case "RandomSearch":
            return None
        case "RegularizedEvolution" | "ParetoEvolution":
            return int(options.get("controller.num_random") or options.get("controller.population_size") or 0)
        case "Guided":
            return int(options.get("controller.num_random") or 0)
        case "LocalSearch":
            return 1
        case _:
            return 0


def _task_of(created: Created) -> tuple[str, TableTask]:
    """Return the identity of a run's task, and what the task is: options that metrics may depend on, and its data."""
    recorded = present_options(created.config)
    options = {name: value for name, value in recorded.items() if name.startswith(("task.", "block_kinds."))}

    # A younger version has further options; the task repeats the parts that it is made of.
    for name, value in ADDED_SINCE.items():
        part = f"task.{name.partition('.')[0]}."
        if any(own.startswith(part) for own in options):
            options.setdefault(f"task.{name}", value)

    # Where the content of the data is on record, that decides, and not where it lies.
    places = (created.data_places or ()) if created.data is not None else ()
    left_out = {f"task.{name}" for name in (*MACHINE, *places)}
    options = {name: value for name, value in sorted(options.items()) if name not in left_out}

    versions: dict[str, tuple[str, ...]] = {name: (version,) for name, version in created.versions.items()}
    task = TableTask(options=options, data=created.data, versions=versions)
    return _identity({"options": options, "data": created.data}), task


def _space_of(created: Created) -> tuple[str, TableSpace]:
    options = {name: value for name, value in present_options(created.config).items() if name.startswith("space.")}
    space = TableSpace(options=dict(sorted(options.items())), decisions=created.decisions)
    return _identity(space.model_dump(mode="json")), space


def _identity(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _seed(created: Created) -> int:
    seed = created.config.get("seed")
    if not isinstance(seed, int):
        raise InputError("the run's configuration has no usable seed")
    return seed


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, _DIGITS_OF_SECONDS) for name, value in seconds.items()}
