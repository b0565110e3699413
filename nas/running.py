"""Running a search in front of a person: what nas.search and nas.replay have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from foundation import InputError
from nas.engine.baselines import open_baselines
from nas.record.journal import Journal
from nas.record.numerics import NumericsCount
from nas.record.record import Record
from nas.record.trial import Trial
from nas.setup import Setup
from nas.terminal.console import Verbosity, make_console
from nas.terminal.progress import TaskView
from nas.terminal.search_view import SearchView
from nas.tracking.base import TrackedRun, Tracker
from nas.tracking.feed import Tracking
from nas.tracking.results import ResultReader
from proxy_tasks.base import DataTask, ProxyTask

MAX_SEEDS = 1000
"""Most seeds that one command trains an architecture with."""


@dataclass(frozen=True, slots=True)
class Consoles:
    """The consoles of a command that does long work.

    Attributes:
        results: shows everything that quiet leaves out.
        problems: shows what goes wrong, quiet or not.
    """

    results: Console
    problems: Console


def make_consoles(verbosity: Verbosity) -> Consoles:
    """Return the consoles of a command; one and the same unless it is to be quiet."""
    problems = make_console()
    return Consoles(make_console(quiet=True) if verbosity == "quiet" else problems, problems)


def prepare_task(task: ProxyTask, console: Console) -> ProxyTask:
    """Make what every trial needs, with its progress on a console; return the task, tied to its data if it has any.

    Raises:
        InputError: the data cannot be used.
    """
    with TaskView(console) as view:
        task.prepare(view.report)
    return task.tied_to_data() if isinstance(task, DataTask) else task


def seeds_of_trainings(setup: Setup, count: int, left_out: int | None = None) -> tuple[int, ...]:
    """Return seeds to train each architecture with, counted from the run's own on, without one that is left out.

    Raises:
        InputError: there are not as many.
    """
    seeds = [seed for seed in range(setup.seed, setup.seed + count + 1) if seed != left_out][:count]
    try:
        replace(setup, seed=seeds[-1])
    except ValueError as error:
        raise InputError(f"seeds={count}: they are counted from seed={setup.seed} on, and {error}") from None
    return tuple(seeds)


def is_finished(record: Record, num_trials: int) -> bool:
    """Return whether a run of `num_trials` trials has a result for each of them."""
    return len(record.told) >= max(num_trials, len(record.trials))


def has_work(setup: Setup, record: Record) -> bool:
    """Return whether something of a run is still to be trained: a trial, or a baseline.

    Raises:
        InputError: what is on record of a baseline is damaged.
    """
    return not is_finished(record, setup.num_trials) or bool(open_baselines(setup.run, setup.baseline_names))


@dataclass(frozen=True, slots=True)
class Shown:
    """The texts that a person is shown of a run.

    Attributes:
        title: title of the live panel.
        summarise: prints the results; called at the end, after Ctrl-C too.
        numbers: numbers to show instead of the trials' own, by key.
        beside: results of other runs that the new ones stand beside, by the arithmetic that they were computed in.
    """

    title: str
    summarise: Callable[[], None]
    numbers: Mapping[str, int] = field(default_factory=dict)
    beside: Mapping[str, NumericsCount] = field(default_factory=dict)


def run_and_show(setup: Setup, journal: Journal, consoles: Consoles, shown: Shown) -> None:
    """Run a search to its end, show it in the terminal and in all trackers, and sum it up.

    Nothing of a finished run is run again; trackers get what they lack of it.

    Raises:
        InputError: the search stopped before its last trial; the message says why.
        KeyboardInterrupt: the user stopped it.
    """
    with _track(setup, journal, consoles) as tracking:
        try:
            why_stopped = _run(setup, journal, tracking, consoles.problems, shown)
        except KeyboardInterrupt as interrupt:
            consoles.problems.print(_interrupted(interrupt, journal.record), soft_wrap=True)
            shown.summarise()
            raise
        shown.summarise()

    if why_stopped is not None:
        raise InputError(why_stopped)


def print_tracking_hints(trackers: Mapping[str, Tracker], run: Path, console: Console) -> None:
    """Print what a person does to see a run in each tracker."""
    for tracker in trackers.values():
        hint = tracker.hint(run)
        if hint:
            console.print(f"Curves:  {hint}", soft_wrap=True)


def _interrupted(interrupt: KeyboardInterrupt, record: Record) -> str:
    """Return a line that says what stopped a search, and what becomes of the trials that were running."""
    num_running = sum(trial.status == "running" for trial in record.trials.values())
    dropped = f"; running trials are dropped, and the next start runs them: {num_running}" if num_running else ""
    return f"stopped by {str(interrupt) or 'Ctrl-C'}{dropped}"


def _track(setup: Setup, journal: Journal, consoles: Consoles) -> Tracking:
    created = journal.record.created
    num_trials = max(setup.num_trials, len(journal.record.trials))
    say = partial(consoles.results.print, soft_wrap=True)
    run = TrackedRun(journal.folder, created.time, created.config, num_trials, say=say)
    warn = partial(consoles.problems.print, soft_wrap=True)
    return Tracking(setup.tracking, run, ResultReader(journal.record).read, say, warn)


def _run(setup: Setup, journal: Journal, tracking: Tracking, console: Console, shown: Shown) -> str | None:
    """Run what is left of a search; return why it stopped before its last trial, if it did."""
    if not has_work(setup, journal.record):
        return None

    # The view leaves out itself what the verbosity asks it to.
    record, verbosity = journal.record, setup.verbosity
    with SearchView(console, shown.title, setup.num_trials, record, verbosity, shown.numbers, shown.beside) as view:

        def on_change(trial: Trial) -> None:
            view.show(trial)
            tracking.update()

        search = setup.search(journal, on_change, view.stopping, view.note_numerics)
        source = setup.source(search, view.show_baseline)
        setup.executor.run(source, setup.task, view.note_workers)
    return search.why_stopped
