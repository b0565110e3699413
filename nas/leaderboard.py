"""python -m nas.leaderboard: rank the trials of one run or of several."""

import csv
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, assert_never

import numpy as np
from rich.console import Console

from foundation import InputError, check_range, short_path
from nas.assessment.standing import seeds_of
from nas.engine.reward import Reward, named_metrics, objectives_of
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.invocation import own_command
from nas.options.output import print_warning
from nas.record.baselines import Baseline, read_baselines, with_replayed
from nas.record.comparison import compares, furthest_rung
from nas.record.events import MAX_TRIALS
from nas.record.failures import failure_lines
from nas.record.journal import read_record
from nas.record.mean_reward import mean_baselines, mean_rewards
from nas.record.numerics import count_numerics, mixture_line
from nas.record.ranking import (
    BaselineRow,
    Row,
    baseline_rows_of,
    figure_names,
    filter_baselines,
    filter_rows,
    ranges_of,
    rows_of,
    sort_rows,
)
from nas.record.record import Record
from nas.record.replays import Replay, comparable_replays, comparing_command
from nas.record.trial import Trial
from nas.terminal.baselines import comparison_line
from nas.terminal.console import make_console
from nas.terminal.seed_line import ranking_line
from nas.terminal.tables import columns_of, leaderboard_table, texts_of

HELP = """\
python -m nas.leaderboard run=FOLDER [name=value ...]

Show the best architectures of a run, finished or under way, or of several runs together. Each architecture appears once
a run. Those that nas.replay trained again as the search did come first, by their means over seeds, and ~ marks what may
be as good as the best. With reward= they are ranked again by what the journal has on them; nothing is trained.

  python -m nas.leaderboard run=runs/quickstart top=20
  python -m nas.leaderboard run=runs/quickstart 'where=macs<25e6 and ap>0.3' sort=-ap
  python -m nas.leaderboard run=runs/coco 'where="ap/traffic light">0.3' sort='-ap/traffic light'
  python -m nas.leaderboard run=[runs/evolution,runs/random] top=null format=csv > trials.csv
  python -m nas.leaderboard run=runs/quickstart reward=targets reward.macs.target=25e6
  python -m nas.leaderboard run=runs/quickstart reward=tradeoff front=true
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/leaderboard.yaml`."""

    run: Path | tuple[Path, ...]
    top: int | None
    front: bool
    sort: str | None = None
    where: str | None = None
    format: Literal["table", "csv", "json", "markdown"] = "table"
    reward: Reward | None = None

    def __post_init__(self) -> None:
        if self.top is not None:
            check_range("top", self.top, 1, MAX_TRIALS, "no run has more trials")
        if self.front and (self.reward is None or len(self.reward.metrics) < 2):
            raise ValueError("front=true needs a reward with costs, as reward=tradeoff")
        if self.run == ():
            raise ValueError("run: needs a folder")


def main(config: dict[str, Any]) -> None:
    """Show what the configuration asks for."""
    options = build(Options, config, "")
    folders = options.run if isinstance(options.run, tuple) else (options.run,)
    records = {short_path(folder): read_record(folder) for folder in folders}
    replays = {
        short_path(folder): comparable_replays(folder, records[short_path(folder)], print_warning) for folder in folders
    }
    trials = {run: _rewarded(record, options.reward) for run, record in records.items()}
    beside = {short_path(folder): read_baselines(folder) for folder in folders}
    rows = _rows(records, trials, replays, options.reward)
    baselines = _baseline_rows(beside, replays, options.reward)
    seeds = seeds_of([*rows, *baselines], list(records.values()))

    # Filter before the front is taken: a row that is left out beats none.
    if options.where is not None:
        ranked, rows = rows, filter_rows(rows, options.where)
        baselines = filter_baselines(baselines, options.where)
        if ranked and not rows:
            print(
                f"where: keeps none of {len(ranked)} architectures, which have {ranges_of(ranked, options.where)}",
                file=sys.stderr,
            )
    rows = seeds.with_standings(rows)
    command = _replay_command(records, rows)
    comparison = comparison_line(seeds, rows, baselines, command)

    title = f"Best of {', '.join(records)}"
    if options.front and options.reward is not None:
        rows = front_of(rows, options.reward)
        title = f"Front of {', '.join(records)}, {len(rows)} architectures: none beats another in all of "
        title += ", ".join(options.reward.metrics)
    if options.sort is not None:
        rows = sort_rows(rows, options.sort)
    # Baselines stand below whatever is shown: they have no rank.
    rows = rows[: options.top]
    lines = [line for line in (ranking_line(seeds, rows, command), comparison) if line]

    match options.format:
        case "table":
            console = make_console()
            _count_trials(console, records)
            _print_mixture(console, records, replays, beside)
            if rows or baselines:
                console.print(leaderboard_table(rows, title, console.width, baselines))
            for line in lines:
                console.print(f"\n{line}", soft_wrap=True)
        case "markdown":
            _write_markdown(rows, baselines, lines)
        case "csv":
            _write_csv(rows, baselines)
        case "json":
            json.dump(_plain_rows(rows, baselines), sys.stdout, indent=1)
            print()
        case _:
            assert_never(options.format)


def _replay_command(records: Mapping[str, Record], rows: Sequence[Row]) -> str:
    """Return the command that tells how far seeds differ in the run that has the best; empty where there is no best."""
    if not rows:
        return ""
    # Of one run the rows do not say which it is.
    run = rows[0].run or next(iter(records))
    return comparing_command(records[run], own_command("replay"), run)


def _rows(
    records: Mapping[str, Record],
    trials: Mapping[str, Mapping[int, Trial]],
    replays: Mapping[str, Sequence[Replay]],
    reward: Reward | None,
) -> list[Row]:
    """Return the ranked rows, those of replayed architectures with their means of the reward."""
    means = {run: mean_rewards(_rescored(one.record.trials, reward) for one in own) for run, own in replays.items()}
    return rows_of(records, trials, means)


def _baseline_rows(
    beside: Mapping[str, Sequence[Baseline]], replays: Mapping[str, Sequence[Replay]], reward: Reward | None
) -> list[BaselineRow]:
    """Return the rows of baselines, those that were replayed with their means of the reward."""
    baselines, means = {}, {}
    for run, own in replays.items():
        replayed = [_rescored_baselines(replay.baselines, reward) for replay in own]
        baselines[run] = with_replayed(_rescored_baselines(beside[run], reward), replayed)
        means[run] = mean_baselines(replayed)
    return baseline_rows_of(baselines, means)


def _print_mixture(
    console: Console,
    records: Mapping[str, Record],
    replays: Mapping[str, Sequence[Replay]],
    beside: Mapping[str, Sequence[Baseline]],
) -> None:
    """Print a line where results differ in their arithmetic."""
    again = [replay for own in replays.values() for replay in own]
    shown = [*records.values(), *(replay.record for replay in again)]
    trials = [trial for record in shown for trial in record.trials.values()]
    baselines = [baseline for own in (*beside.values(), *(replay.baselines for replay in again)) for baseline in own]
    mixture = mixture_line(count_numerics([*trials, *baselines]))
    if mixture:
        console.print(f"{mixture}.", soft_wrap=True)


def _count_trials(console: Console, records: Mapping[str, Record]) -> None:
    for run, record in records.items():
        statuses = Counter(trial.status for trial in record.trials.values())
        counts = ", ".join(f"{n} {status}" for status, n in sorted(statuses.items())) or "no trials yet"
        console.print(f"{run}: {counts}" if len(records) > 1 else counts)
        for line in failure_lines(record.trials.values()):
            console.print(f"failed: {line}", soft_wrap=True)


def _plain_rows(rows: Sequence[Row], baselines: Sequence[BaselineRow]) -> list[dict[str, Any]]:
    return [*map(_plain, rows), *map(_plain, baselines)]


def _plain(row: Row | BaselineRow) -> dict[str, Any]:
    """Return a row with all of its figures, as JSON values; that of a baseline has its name too, and no key."""
    result = row.trial if isinstance(row, Row) else row.baseline
    figures = {name: row.value(name) for name in figure_names([row])}
    own = {"run": row.run} if row.run else {}
    numerics = {} if result.numerics is None else asdict(result.numerics)
    # A task may well have a metric that is called precision.
    computed_in = {f"numerics.{name}": value for name, value in numerics.items()}

    if isinstance(row, Row):
        standing = {"standing": row.standing} if row.standing else {}
        return {**own, **figures, **standing, **computed_in, "key": row.trial.key, "reused_by": list(row.reused_by)}
    failure = {} if row.baseline.failure is None else {"failure": row.baseline.failure.kind}
    return {**own, "baseline": row.baseline.name, **figures, **computed_in, **failure, "key": None, "reused_by": []}


def _write_csv(rows: Sequence[Row], baselines: Sequence[BaselineRow]) -> None:
    """Write the rows with all of their figures, unrounded."""
    # Rows of different runs may have different figures: a column for each that any of them has.
    plain = _plain_rows(rows, baselines)
    last = ("key", "reused_by")
    names = dict.fromkeys(name for one in plain for name in one if name not in last)
    writer = csv.DictWriter(sys.stdout, [*names, *last], restval="", lineterminator="\n")
    writer.writeheader()
    for one in plain:
        writer.writerow({**one, "reused_by": " ".join(map(str, one["reused_by"]))})


def _write_markdown(rows: Sequence[Row], baselines: Sequence[BaselineRow], lines: Sequence[str]) -> None:
    columns = columns_of(rows, baselines)
    print("|", " | ".join(column.head.replace("|", "\\|") for column in columns), "|")
    print("|", " | ".join("---:" if column.align == "right" else "---" for column in columns), "|")
    for texts in texts_of(columns, rows, baselines):
        print("|", " | ".join(text.replace("|", "\\|") for text in texts), "|")
    for line in lines:
        print(f"\n{line}")


def front_of(rows: Sequence[Row], reward: Reward) -> list[Row]:
    """Return the non-dominated rows: no other is as good in all objectives of the reward and better in one."""
    # Rewards of less training do not compare with those of the furthest promoted.
    furthest = furthest_rung(row.trial for row in rows)
    rows = [row for row in rows if compares(row.trial, furthest)]
    points = np.array([objectives_of(reward, row.trial.metrics) for row in rows])
    is_beaten = [bool(np.any(np.all(points >= own, axis=1) & np.any(points > own, axis=1))) for own in points]
    return [row for row, beaten in zip(rows, is_beaten, strict=True) if not beaten]


def _rewarded(record: Record, reward: Reward | None) -> Mapping[int, Trial]:
    """Return the trials with the rewards that they are to be ranked by.

    Raises:
        InputError: no trial has a metric that the reward looks at.
    """
    usable = _rescored(record.trials, reward)
    scored = [trial for trial in record.trials.values() if trial.reward is not None]
    if reward is not None and scored and not usable:
        known = sorted({name for trial in scored for name in trial.metrics})
        named = named_metrics(reward)
        lacking = {name for trial in scored for name in named if name not in trial.metrics}
        missing = next(name for name in named if name in lacking)
        raise InputError(f"reward: no trial of the run has the metric {missing}; they have {', '.join(known)}")
    return usable


def _rescored(trials: Mapping[int, Trial], reward: Reward | None) -> Mapping[int, Trial]:
    """Return trials with another reward; those that lack one of its metrics, as of an earlier version, are left out."""
    if reward is None:
        return trials
    named = set(named_metrics(reward))
    scored = {number: trial for number, trial in trials.items() if trial.reward is not None}
    usable = {number: trial for number, trial in scored.items() if named <= set(trial.metrics)}
    return {number: replace(trial, reward=reward(trial.metrics)) for number, trial in usable.items()}


def _rescored_baselines(baselines: Sequence[Baseline], reward: Reward | None) -> Sequence[Baseline]:
    """Return baselines with another reward, as trials are rescored."""
    if reward is None:
        return baselines

    named = set(named_metrics(reward))
    usable = [one for one in baselines if one.reward is not None and named <= set(one.metrics)]
    return tuple(one.model_copy(update={"reward": reward(one.metrics)}) for one in usable)


if __name__ == "__main__":
    run_command("leaderboard", HELP, main)
