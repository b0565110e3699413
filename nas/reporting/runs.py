"""The runs of a report, and the groups of those that repeat one search."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foundation import InputError, absolute_path, short_path
from nas.options.configuration import differing_options, option_texts
from nas.options.listed import choice_files
from nas.record.baselines import Baseline, read_baselines, with_replayed
from nas.record.identity import SEARCHER, present_options
from nas.record.journal import read_record
from nas.record.problem import places_of, problem_differences
from nas.record.record import Record
from nas.record.replays import Replay, comparable_replays
from nas.record.trial import Trial
from nas.reporting.latencies import read_latencies


@dataclass(frozen=True, slots=True)
class ReportedRun:
    """One run of a report.

    Attributes:
        name: the folder's, with as much of the path as tells it from the other runs.
        group: what searched: the controller, with those options in which it differs from others of its name.
        options: the whole configuration, each value as text, nested names with dots.
        record: what its journal says.
        folder: of the run.
        replays: those of its replays that compare with it.
        baselines: networks that were trained beside its trials.
        latencies: what nas.profile has left in the run, as metrics by the key of the architecture.
    """

    name: str
    group: str
    options: Mapping[str, str]
    record: Record
    folder: Path = Path()
    replays: Sequence[Replay] = ()
    baselines: tuple[Baseline, ...] = ()
    latencies: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def metrics_of(self, trial: Trial) -> Mapping[str, float]:
        """Return the metrics of a trial, with what nas.profile has measured of its architecture."""
        return {**trial.metrics, **self.latencies.get(trial.key, {})}


def read_runs(folders: Sequence[Path], warn: Callable[[str], None] = lambda line: None) -> list[ReportedRun]:
    """Read the runs, in the given order; what leads out of them is left out with a line to `warn`.

    Raises:
        InputError: no folder, one given twice, no run in it, a damaged journal, or one without trials.
    """
    paths = different_folders(folders)
    records = [read_record(path) for path in paths]
    for path, record in zip(paths, records, strict=True):
        if not record.trials:
            raise InputError(f"{short_path(path)}: no trials yet, so there is nothing to report")

    options = [option_texts(present_options(record.created.config)) for record in records]
    names, groups = _run_names(paths), group_names([record.created.config for record in records])
    replays = [comparable_replays(path, record, warn) for path, record in zip(paths, records, strict=True)]
    baselines = [
        with_replayed(read_baselines(path), (replay.baselines for replay in own))
        for path, own in zip(paths, replays, strict=True)
    ]
    latencies = [read_latencies(path, record, warn) for path, record in zip(paths, records, strict=True)]
    parts = zip(names, groups, options, records, paths, replays, baselines, latencies, strict=True)
    return [ReportedRun(*own) for own in parts]


def different_folders(folders: Sequence[Path]) -> list[Path]:
    """Return the absolute paths of one folder or more, none of them given twice.

    Raises:
        InputError: there is none, or one is.
    """
    if not folders:
        raise InputError("run: name one folder or more")
    paths = [absolute_path(folder) for folder in folders]
    for folder, path in zip(folders, paths, strict=True):
        if paths.count(path) > 1:
            raise InputError(f"run: {folder} is given twice")
    return paths


def cautions(runs: Sequence[ReportedRun]) -> list[str]:
    """Return the options, and the parts of their data, that runs should share to be compared, and do not."""
    records = [run.record for run in runs]
    return problem_differences(
        [run.options for run in runs], [record.created.data for record in records], places_of(records)
    )


def group_names(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what searched in each of the runs; equal names mean repetitions of one search."""
    names = [_controller_name(config) for config in configs]
    searchers = [{part: config.get(part) for part in SEARCHER} for config in configs]
    parts = [option_texts(present_options(searcher)) for searcher in searchers]

    # A name says only what it must: the options in which runs of this controller differ.
    groups = []
    for name, options in zip(names, parts, strict=True):
        alike = [other for other_name, other in zip(names, parts, strict=True) if other_name == name]
        different = sorted(option for option in differing_options(alike) if not option.endswith("_target_"))
        texts = [f"{option.removeprefix('controller.')}={options.get(option, '')}" for option in different]
        groups.append(", ".join([name, *texts]))
    return groups


def _controller_name(config: Mapping[str, Any]) -> str:
    """Return the name of the shipped choice that has the run's controller, or else the name of its class."""
    controller = config.get("controller")
    target = str(controller.get("_target_", "")) if isinstance(controller, Mapping) else ""

    # Several choices may have one class: the shortest name is that of its plain form.
    for path in sorted(choice_files("controller"), key=lambda path: len(path.stem)):
        if f"\n_target_: {target}\n" in path.read_text(encoding="utf-8"):
            return path.stem
    return target.rpartition(".")[2] or "unknown controller"


def _run_names(paths: Sequence[Path]) -> list[str]:
    """Return the names of the folders; where two are the same, the paths below the folder that holds all."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    return [os.path.relpath(path, os.path.commonpath(paths)) for path in paths]
