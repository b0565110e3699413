"""A search from its configuration to its summary: what python -m nas.search does, and what Python calls."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from foundation import InputError, short_path
from nas.engine.warm_start import WarmStart
from nas.exporting.specs import export_best
from nas.record.baselines import Baseline, read_baselines
from nas.record.failures import failure_lines
from nas.record.identity import check_data, open_run
from nas.record.journal import has_trials
from nas.record.numerics import NumericsCount, count_numerics, mixture_line
from nas.record.record import Record
from nas.record.replays import replayed_run
from nas.record.trial import Status, Trial
from nas.reporting.ranked import ranking_of_run
from nas.running import Shown, has_work, make_consoles, prepare_task, run_and_show
from nas.setup import Setup, build_setup
from nas.terminal.baselines import standing_line
from nas.terminal.figures import duration
from nas.terminal.tables import leaderboard_table
from search_space import Decisions

NUM_SHOWN = 10
"""Best trials in the table of the summary."""
NUM_RECENT = 100
"""Trials over which the share of reused ones is taken."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """The words on what may be done after a search; they depend on where it was asked for.

    Attributes:
        print: prints what may follow, given the best trial, or None where there is none.
        compare: returns how the best is compared with the baselines over several seeds; empty where seeds do nothing.
    """

    print: Callable[[Console, Setup, Record, Trial | None], None]
    compare: Callable[[Setup, Record], str]


def build_search(config: Mapping[str, Any]) -> Setup:
    """Build everything that a search is made of.

    Raises:
        InputError: a value of the wrong type or out of range, or a run folder that holds a replay.
    """
    setup = build_setup(config)
    _refuse_replay(setup.run)
    return setup


def check_may_search(setup: Setup) -> None:
    """Check that the task, as it is set, may guide a search.

    Raises:
        InputError: it must not; the message says why.
    """
    if setup.task.option_rules.search_refusal:
        raise InputError(setup.task.option_rules.search_refusal)


def search(setup: Setup, config: Mapping[str, Any], follow_up: FollowUp) -> None:
    """Run or resume a search, shown in the terminal and in all trackers, and sum it up.

    Args:
        setup: as `build_search` returns it.
        config: the configuration that it was built from.
        follow_up: what the summary ends with.

    Raises:
        InputError: a task that cannot guide a search, data that cannot be used, a run folder of another configuration,
            or a search that stopped before its last trial; the message says why.
        KeyboardInterrupt: the user stopped it.
    """
    check_may_search(setup)
    consoles = make_consoles(setup.verbosity)
    started = time.monotonic()

    # A run that has begun has on record what it begins with. And without data there is no run folder.
    is_begun = has_trials(setup.run)
    begin_with: tuple[Decisions, ...] = ()
    beside: dict[str, NumericsCount] = {}
    if not is_begun:
        begin_with = setup.warm_start.decisions(setup.space)
        beside = _warm_start_numerics(setup.warm_start)
        setup = replace(setup, task=prepare_task(setup.task, consoles.results))

    here = short_path(setup.run)
    with open_run(setup.run, config, setup.task, setup.space, begin_with) as journal:
        record = journal.record
        if is_begun:
            consoles.results.print(f"{here}: {len(record.told)} trials on record, {setup.num_trials} asked for")
            if has_work(setup, record):
                setup = replace(setup, task=prepare_task(setup.task, consoles.results))
                check_data(record, setup.run, setup.task)

        summarise = partial(_summarise, consoles.results, record, setup, started, follow_up)
        run_and_show(setup, journal, consoles, Shown(here, summarise, beside=beside))


def counts_in_words(record: Record) -> str:
    """Return how many trials ended in each way, as `11 completed, 1 failed`."""
    statuses = Counter(trial.status for trial in record.trials.values())
    order: tuple[Status, ...] = ("completed", "stopped", "reused", "rejected", "failed", "running")
    return ", ".join(f"{statuses[status]} {status}" for status in order if statuses[status]) or "no trials"


def reused_share(record: Record) -> float:
    """Return the share of reused trials among the last that ended; 0 while fewer than `NUM_RECENT` have."""
    recent = record.told[-NUM_RECENT:]
    if len(recent) < NUM_RECENT:
        return 0.0
    return sum(record.trials[number].status == "reused" for number in recent) / NUM_RECENT


def _refuse_replay(folder: Path) -> None:
    """Check that a folder holds no replay: what a controller proposes is none of the best of its run.

    Raises:
        InputError: it does.
    """
    run = replayed_run(folder)
    if run is not None:
        raise InputError(
            f"{short_path(folder)} is a replay of {short_path(run)}; to resume it, use nas.replay "
            f"run={short_path(run)} with the options that it was begun with"
        )


def _warm_start_numerics(warm_start: WarmStart) -> dict[str, NumericsCount]:
    """Return what the architectures of a warm start were chosen by, under the name of their run."""
    if warm_start.run is None:
        return {}
    return {f"best of {short_path(warm_start.run)}": count_numerics(warm_start.best())}


def _summarise(console: Console, record: Record, setup: Setup, started: float, follow_up: FollowUp) -> None:
    """Print how the trials ended, the best of them, and what may follow."""
    console.print(f"\n{counts_in_words(record)}; {duration(time.monotonic() - started)} this time\n")
    baselines = read_baselines(setup.run)
    _print_remarks(console, record, baselines, setup.max_reused_share)

    # After Ctrl-C too: what was found so far is shown and exported all the same.
    ranking = ranking_of_run(record, setup.run, partial(console.print, soft_wrap=True))
    best = [one.row for one in ranking.architectures[:NUM_SHOWN]]
    if best or ranking.baselines:
        run = short_path(setup.run)
        console.print(leaderboard_table(best, f"Best of {run}", console.width, ranking.baselines))
    if best:
        specs = export_best(record, setup.run)
        console.print(f"\nSpecs of the best {len(specs)}: {run}/best/ ({', '.join(path.name for path in specs)})")

    # A run that goes on after replays has more to say of its best than one training each.
    lines = [ranking.line(NUM_SHOWN), ranking.comparison_line()]
    if ranking.seeds.deviation is None:
        lines = [standing_line(record, baselines, follow_up.compare(setup, record))]
    for line in lines:
        if line:
            console.print(line, soft_wrap=True)
    follow_up.print(console, setup, record, best[0].trial if best else None)


def _print_remarks(console: Console, record: Record, baselines: Sequence[Baseline], max_reused_share: float) -> None:
    """Print what a person should know of failed, rejected and reused trials, where there are many."""
    trials = record.trials.values()
    failures = failure_lines(trials)
    for line in failures:
        console.print(f"failed: {line}", soft_wrap=True)
    if failures:
        console.print()

    mixture = mixture_line(count_numerics([*trials, *baselines]))
    if mixture:
        console.print(f"{mixture}.\n", soft_wrap=True)

    num_rejected = sum(trial.status == "rejected" for trial in trials)
    if num_rejected > len(record.told) / 2:
        console.print(
            f"{num_rejected} of {len(record.told)} proposals were over a limit and never trained: with higher "
            "limits, in another run, more of the trials count.\n",
            soft_wrap=True,
        )

    # A controller that proposes what it knows makes trials cheap, and finds nothing new.
    share = reused_share(record)
    if share > max_reused_share:
        console.print(
            f"{share:.0%} of the last {NUM_RECENT} trials were architectures that had been trained before: the "
            "controller has converged. Stop here, or begin another run that explores more; --help controller says "
            "which option does that.\n",
            soft_wrap=True,
        )
