"""python -m nas.search: run a search, or go on with one."""

import re
import shlex
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from foundation import InputError, short_path
from nas.exporting.specs import export_trials
from nas.options.command_line import python_command, run_command
from nas.record.failures import failure_lines
from nas.record.identity import open_run
from nas.record.journal import Journal, Record, has_trials
from nas.record.ranking import Row
from nas.record.trial import Status, Trial, best_trials
from nas.setup import Setup, build_setup
from nas.terminal.console import make_console
from nas.terminal.figures import duration
from nas.terminal.progress import TaskView
from nas.terminal.search_view import SearchView
from nas.terminal.tables import leaderboard_table
from nas.tracking import Tracking
from search_space import Decisions

HELP = """\
python -m nas.search [name=value ...]

Search for architectures: a controller proposes, a proxy task trains and scores, the reward goes back.
Everything is kept in the run folder; the same command again goes on where it stopped, and a larger num_trials
extends a finished run.

  python -m nas.search experiment=quickstart                          minutes, on data it draws itself
  python -m nas.search experiment=spinenet data.root=/path/to/coco    the paper's search
"""
NUM_SHOWN = 10
NUM_EXPORTED = 3
NUM_RECENT = 100
"""Trials over which the share of reused ones is taken."""


def main(config: dict[str, Any]) -> None:
    """Run the search that the configuration describes."""
    setup = build_setup(config)
    if refusal := setup.task.option_rules.search_refusal:
        raise InputError(refusal)
    loud = make_console()
    console = make_console(quiet=True) if setup.verbosity == "quiet" else loud
    started = time.monotonic()
    is_begun = has_trials(setup.run)
    begin_with: tuple[Decisions, ...] = ()
    if not is_begun:
        # A run that has begun has on record what it begins with. And without data there is no run folder.
        begin_with = setup.warm_start.decisions(setup.space)
        _prepare(setup, console)
    journal = open_run(setup.run, config, setup.task, begin_with, setup.space.decisions)
    with journal, setup.track(journal, console, loud) as tracking:
        record = journal.record
        is_finished = len(record.told) >= max(setup.num_trials, len(record.trials))
        if is_begun:
            here = short_path(setup.run)
            console.print(f"{here}: {len(record.told)} trials on record, {setup.num_trials} asked for")
            if not is_finished:
                _prepare(setup, console)
        why_stopped: str | None = None
        try:
            if not is_finished:
                why_stopped = _run(setup, journal, tracking, loud)
        except KeyboardInterrupt:
            _summarise(console, record, setup, time.monotonic() - started)
            raise
        _summarise(console, record, setup, time.monotonic() - started)
    if why_stopped is not None:
        raise InputError(why_stopped)


def _prepare(setup: Setup, console: Console) -> None:
    with TaskView(console) as task_view:
        setup.task.prepare(task_view.report)


def _run(setup: Setup, journal: Journal, tracking: Tracking, console: Console) -> str | None:
    """Run the search; return why it stopped before its last trial, if it did."""
    title = short_path(setup.run)
    with SearchView(console, title, setup.num_trials, journal.record, setup.verbosity) as view:

        def on_change(trial: Trial) -> None:
            view.show(trial)
            tracking.update()

        search = setup.search(journal, on_change, view.stopping)
        setup.executor.run(search, setup.task, view.note_workers)
    return search.why_stopped


def _summarise(console: Console, record: Record, setup: Setup, seconds: float) -> None:
    statuses = Counter(trial.status for trial in record.trials.values())
    order: tuple[Status, ...] = ("completed", "reused", "rejected", "failed", "running")
    counts = ", ".join(f"{statuses[status]} {status}" for status in order if statuses[status])
    console.print(f"\n{counts or 'no trials'}; {duration(seconds)} this time\n")
    if statuses["failed"]:
        for line in failure_lines(record.trials.values()):
            console.print(f"failed: {line}", soft_wrap=True)
        console.print()
    if statuses["rejected"] > len(record.told) / 2:
        console.print(
            f"{statuses['rejected']} of {len(record.told)} proposals were over a limit and never trained: with higher "
            "limits, in another run, more of the trials count.\n",
            soft_wrap=True,
        )
    if (share := reused_share(record)) > setup.max_reused_share:
        console.print(
            f"{share:.0%} of the last {NUM_RECENT} trials were architectures that had been trained before: the "
            "controller has converged. Stop here, or begin another run that explores more; --help says which option "
            "of the controller does that.\n",
            soft_wrap=True,
        )
    best = best_trials(record.trials, NUM_SHOWN)
    run = short_path(setup.run)
    if best:
        console.print(leaderboard_table([Row(trial) for trial in best], f"Best of {run}"))
        specs = _export_best(record, setup.run)
        console.print(f"\nSpecs of the best {len(specs)}: {run}/best/ ({', '.join(path.name for path in specs)})")
    again = _command("nas.search", without=("num_trials",))
    if len(record.told) < setup.num_trials:
        console.print(f"Go on:   {again} num_trials={setup.num_trials}", soft_wrap=True)
    else:
        console.print(f"Extend:  {again} num_trials={2 * max(setup.num_trials, len(record.told))}", soft_wrap=True)
    if best:
        if len(setup.reward.metrics) > 1:
            chosen = [a for a in sys.argv[1:] if a.startswith("reward")]
            front = shlex.join([python_command(), "-m", "nas.leaderboard", f"run={run}", *chosen, "front=true"])
            console.print(f"Front:   {front}", soft_wrap=True)
        console.print(f"Report:  {python_command()} -m nas.report run={shlex.quote(run)}", soft_wrap=True)
        most_epochs = setup.promotion.fidelity(setup.fidelity, best[0].rung).epochs
        replay = _command("nas.replay", without=("num_trials", "fidelity.epochs"))
        console.print(f"Replay:  {replay} top=3 fidelity.epochs={4 * most_epochs:g}", soft_wrap=True)
    for hint in setup.tracking_hints(setup.run):
        console.print(f"Curves:  {hint}", soft_wrap=True)


def reused_share(record: Record) -> float:
    """Return the share of reused trials among the last that ended; 0 while fewer than `NUM_RECENT` have."""
    recent = record.told[-NUM_RECENT:]
    if len(recent) < NUM_RECENT:
        return 0.0
    return sum(record.trials[number].status == "reused" for number in recent) / NUM_RECENT


def _command(module: str, without: tuple[str, ...]) -> str:
    """Return this command with another module and without some options, ready to paste."""
    kept = [shlex.quote(a) for a in sys.argv[1:] if a.partition("=")[0] not in without]
    return " ".join([python_command(), "-m", module, *kept])


def _export_best(record: Record, run: Path) -> list[Path]:
    """Write the specs of the best trials into the run folder, in place of those of an earlier start."""
    paths = export_trials(record, best_trials(record.trials, NUM_EXPORTED), run, run / "best")
    written_by_us = re.compile(r"\d\d-[0-9a-f]{16}\.json")
    for old in (run / "best").iterdir():
        if old not in paths and written_by_us.fullmatch(old.name):
            old.unlink()
    return paths


if __name__ == "__main__":
    run_command("config", HELP, main)
