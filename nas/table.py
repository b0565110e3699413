"""python -m nas.table: gather the trainings of runs in one file."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import check_writable, file_lock, short_path
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.output import print_warning
from nas.record.trainings import trainings_of
from proxy_tasks.training_table import EMPTY_TABLE, TrainingRow, TrainingTable, read_table, write_table

HELP = """\
python -m nas.table FOLDER ... [out=FILE.jsonl.gz]

Gather every completed training of runs, finished or under way, in one gzipped file: architecture, task, seed, metrics,
loss curve and durations, and where it is from. Their replays, studies and baselines are among them. A training that
several have is there once. A file that exists is added to and never loses a row, also where several of these commands
add to it at once. Tables are free for all to use (licence CC0), and proxy_tasks.training_table.read_table reads them.

  python -m nas.table runs/*
  python -m nas.table runs/evolution runs/random out=trainings.jsonl.gz
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/table.yaml`."""

    run: Path | tuple[Path, ...]
    out: Path

    def __post_init__(self) -> None:
        if self.run == ():
            raise ValueError("run: needs a folder")


def main(config: dict[str, Any]) -> None:
    """Write the table that the configuration asks for."""
    options = build(Options, config, "")
    folders = options.run if isinstance(options.run, tuple) else (options.run,)

    # A file that is none of ours must not be replaced, and is refused before any run is read.
    check_writable(options.out.parent, "out=... needs another place")
    _table_at(options.out)
    found = trainings_of(folders, print_warning)

    # Read again: meanwhile another of these commands may have added to it.
    with file_lock(options.out):
        before = _table_at(options.out)
        table = before.joined([found])
        num_bytes = write_table(options.out, table)

    num_added = len(table.rows) - len(before.rows)
    print(f"{short_path(options.out)}: {num_added} added, {len(found.rows) - num_added} were there already")

    print(f"{totals(table.rows)}, {num_bytes / 1e6:.2f} MB")
    if len(table.tasks) > 1:
        for identity in sorted(table.tasks):
            print(f"task {identity}: {totals([row for row in table.rows if row.task == identity])}")


def totals(rows: Sequence[TrainingRow]) -> str:
    """Return in words how much some rows hold: an architecture counts once for each task."""
    seeds: dict[tuple[str, str], set[int]] = defaultdict(set)
    for row in rows:
        if row.spec is not None:
            seeds[row.task, row.key].add(row.seed)

    num_tasks = len({row.task for row in rows})
    num_repeated = sum(len(own) > 1 for own in seeds.values())
    hours = sum(sum(row.seconds.values()) for row in rows) / 3600
    return (
        f"{len(rows)} rows, {len(seeds)} architectures, {num_repeated} with two seeds or more, "
        f"{num_tasks} {'task' if num_tasks == 1 else 'tasks'}, {hours:.2f} hours of training"
    )


def _table_at(path: Path) -> TrainingTable:
    return read_table(path) if path.exists() else EMPTY_TABLE


if __name__ == "__main__":
    run_command("table", HELP, main, words="run")
