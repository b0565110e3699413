"""The ranking of a report: the architectures of all runs, replayed ones first, and what seeds leave open of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation import short_path
from nas.assessment.standing import SeedsOfRanking, seeds_of
from nas.record.baselines import read_baselines, with_replayed
from nas.record.mean_reward import MeanReward, mean_baselines, mean_rewards
from nas.record.ranking import BaselineRow, Row, baseline_rows_of, rows_of
from nas.record.record import Record
from nas.record.replays import comparable_replays, comparing_command
from nas.reporting.runs import ReportedRun
from nas.terminal.baselines import comparison_line
from nas.terminal.seed_line import ranking_line


@dataclass(frozen=True, slots=True)
class RankedArchitecture:
    """An architecture of a report's ranking.

    Attributes:
        rank: from 1.
        run: that it was found by.
        row: its figures.
    """

    rank: int
    run: ReportedRun
    row: Row


@dataclass(frozen=True, slots=True)
class ReportRanking:
    """The ranking of a report.

    Attributes:
        architectures: all that have a reward, the best first.
        baselines: those of all runs, the best first.
        seeds: the part that seeds have in it.
    """

    architectures: tuple[RankedArchitecture, ...]
    baselines: tuple[BaselineRow, ...]
    seeds: SeedsOfRanking

    @property
    def replay_command(self) -> str:
        """The command that trains the best of a run, and its baselines, with several seeds; empty without a best."""
        if not self.architectures:
            return ""
        run = self.architectures[0].run
        return comparing_command(run.record, "python -m nas.replay", short_path(run.folder))

    def line(self, top: int) -> str:
        """Return what is known of seeds among the `top` best, or the command that tells."""
        return ranking_line(self.seeds, [one.row for one in self.architectures[:top]], self.replay_command)

    def comparison_line(self) -> str:
        """Return how the best stands to the baselines of its run."""
        rows = [one.row for one in self.architectures]
        return comparison_line(self.seeds, rows, self.baselines, self.replay_command)


def ranking_of(runs: Sequence[ReportedRun]) -> ReportRanking:
    """Return the ranking over all runs of a report."""
    records = {run.name: run.record for run in runs}
    means = {run.name: mean_rewards(replay.record.trials for replay in run.replays) for run in runs}
    baseline_means = {run.name: mean_baselines(replay.baselines for replay in run.replays) for run in runs}
    rows = rows_of(records, {name: record.trials for name, record in records.items()}, means)
    baselines = baseline_rows_of({run.name: run.baselines for run in runs}, baseline_means)
    seeds = seeds_of([*rows, *baselines], list(records.values()))

    # Of one run the rows do not say which it is.
    run_of = {run.name: run for run in runs} | {"": runs[0]}
    ranked = enumerate(seeds.with_standings(rows), start=1)
    architectures = tuple(RankedArchitecture(rank, run_of[row.run], row) for rank, row in ranked)
    return ReportRanking(architectures, tuple(baselines), seeds)


def ranking_of_run(record: Record, folder: Path, warn: Callable[[str], None] = lambda line: None) -> ReportRanking:
    """Return the ranking of one run, whose record is at hand.

    Args:
        record: what its journal says.
        folder: of the run.
        warn: as of `comparable_replays`.

    Raises:
        InputError: a baseline, or the journal of a replay, is damaged.
    """
    replays = comparable_replays(folder, record, warn)
    baselines = with_replayed(read_baselines(folder), (replay.baselines for replay in replays))
    return ranking_of([ReportedRun(folder.name, "", {}, record, folder, replays, baselines)])


def mean_texts(mean: MeanReward | None) -> tuple[str, str, str]:
    """Return mean, deviation and number of trainings for the cells of a table; empty where there are none."""
    if mean is None:
        return "", "", ""
    return f"{mean.mean:.4f}", "" if mean.deviation is None else f"{mean.deviation:.4f}", f"{mean.num_trainings}"
