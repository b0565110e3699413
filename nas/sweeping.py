"""A sweep: searches one after another, each in a folder of its own, and the report that compares them."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from foundation import InputError, absolute_path, check_writable, short_path
from nas.executors.base import ClusterLostError
from nas.executors.shared_ray import one_ray
from nas.options.invocation import Invocation, invoked_by, this_command
from nas.options.sweep import Combination
from nas.record.identity import check_config, may_change
from nas.record.journal import FILE_NAME, has_trials, read_record
from nas.record.ranking import Row
from nas.reporting import ReportedRun, read_runs
from nas.reporting.curves import mean_curves
from nas.reporting.page import FILE_NAME as REPORT_NAME
from nas.reporting.ranked import ranking_of
from nas.reporting.runs import cautions
from nas.reporting.written import write_report
from nas.running import Consoles, has_work, make_consoles, prepare_task
from nas.searching import FollowUp, build_search, check_may_search, search
from nas.setup import Setup
from nas.terminal.tables import leaderboard_table

T = TypeVar("T")

FOLDER_SUFFIX = "_sweep"
"""Stands behind the name of a run folder to name that of a sweep, as `runs/quickstart_sweep`."""
MIXED_FOLDER = "sweep"
"""Name of the folder of a sweep whose searches would have several."""
NUM_REPORTED = 6
"""Best architectures of the report, as in `experiments/report.yaml`."""
_OTHER_FOLDER = "name another folder with run=..."


@dataclass(frozen=True, slots=True)
class SweptSearch:
    """One search of a sweep.

    Attributes:
        combination: the values that tell it from the others.
        config: its configuration.
        setup: what that builds.
    """

    combination: Combination
    config: Mapping[str, Any]
    setup: Setup

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments by which nas.search runs this search alone."""
        others = [argument for argument in self.combination.arguments if not _names_run(argument)]
        return (*others, f"run={short_path(self.setup.run)}")

    @property
    def is_finished(self) -> bool:
        """True once nothing of it is left to be trained."""
        return has_trials(self.setup.run) and not has_work(self.setup, read_record(self.setup.run))


@dataclass(frozen=True, slots=True)
class Sweep:
    """The searches of a sweep, in their order, and the folder that theirs lie below."""

    folder: Path
    searches: tuple[SweptSearch, ...]


def build_sweep(combinations: Sequence[Combination], compose: Callable[[Sequence[str]], dict[str, Any]]) -> Sweep:
    """Build and check all searches of a sweep, so that a mistake in the last costs nothing.

    Args:
        combinations: one or more.
        compose: returns the configuration that a command line gives.

    Raises:
        InputError: one cannot be built, or is another than its folder has on record; the message begins with the
            combination. Or the folder of the sweep is a run, or cannot be written to.
    """
    configs = [_of(one, partial(compose, one.arguments)) for one in combinations]
    folder = _folder(combinations[0].arguments, [Path(str(config["run"])) for config in configs])
    if (folder / FILE_NAME).exists():
        raise InputError(
            f"{short_path(folder)} is a run itself, and the searches of a sweep lie in folders of their own below it; "
            + _OTHER_FOLDER
        )
    check_writable(folder, _OTHER_FOLDER)

    searches = []
    for combination, config in zip(combinations, configs, strict=True):
        in_folder = {**config, "run": str(folder / combination.folder_name)}
        setup = _of(combination, partial(_checked, in_folder))
        searches.append(SweptSearch(combination, in_folder, setup))
    return Sweep(folder, tuple(searches))


def run_sweep(sweep: Sweep, follow_up: FollowUp) -> None:
    """Run what is left of a sweep, all of it in one Ray, then write the report that compares the searches.

    A search that stops before its end does not end the sweep: the others may be sound. What all of them run on does.

    Raises:
        InputError: data that cannot be used, or searches that stopped before their end; the message names them.
        KeyboardInterrupt: the user stopped it.
    """
    consoles = make_consoles(sweep.searches[0].setup.verbosity)
    left = [one for one in sweep.searches if not one.is_finished]
    trials = sum(one.setup.num_trials for one in sweep.searches)
    count = f"{len(sweep.searches)} searches of {trials} trials in all, in {short_path(sweep.folder)}"
    consoles.results.print(f"{count}; finished: {len(sweep.searches) - len(left)}", soft_wrap=True)

    try:
        _prepare(left, consoles)
        with one_ray():
            stopped = _run_all(sweep, follow_up, consoles)
    except KeyboardInterrupt:
        consoles.results.print(f"\nResume the sweep:  {this_command('search', without=())}", soft_wrap=True)
        raise

    _compare(sweep, consoles.results)
    if stopped:
        named = ", ".join(short_path(one.setup.run) for one in stopped)
        again = this_command("search", without=())
        raise InputError(
            f"{len(stopped)} of {len(sweep.searches)} searches stopped before their end: {named}; the same command "
            f"resumes them: {again}"
        )


def _of(combination: Combination, work: Callable[[], T]) -> T:
    """Do work for a combination, and return its result; what goes wrong says for which.

    Raises:
        InputError: as the work.
    """
    try:
        return work()
    except InputError as error:
        raise InputError(f"{combination}: {error}") from None


def _names_run(argument: str) -> bool:
    return argument.partition("=")[0].lstrip("+") == "run"


def _folder(arguments: Sequence[str], runs: Sequence[Path]) -> Path:
    """Return the folder of a sweep: the one that is named, or one beside the run folders that its searches would have.

    A sweep leaves alone the run that one search of it would be, as `runs/quickstart`.
    """
    if any(_names_run(argument) for argument in arguments):
        return runs[0]
    if len(set(runs)) == 1:
        return runs[0].with_name(f"{runs[0].name}{FOLDER_SUFFIX}")
    return Path(os.path.commonpath([absolute_path(run).parent for run in runs])) / MIXED_FOLDER


def _checked(config: Mapping[str, Any]) -> Setup:
    """Return what a configuration builds, checked as far as can be without its data.

    Raises:
        InputError: it cannot be built or guide a search, or its folder has another one on record.
    """
    setup = build_search(config)
    check_may_search(setup)
    if has_trials(setup.run):
        check_config(read_record(setup.run), setup.run, config, setup.task, may_change(setup.task))
    else:
        setup.warm_start.decisions(setup.space)
    return setup


def _prepare(searches: Sequence[SweptSearch], consoles: Consoles) -> None:
    """Make what the trials of searches need, once for all that share a task: data that is missing shows before any.

    Raises:
        InputError: data cannot be used; the message begins with the combination.
    """
    prepared: list[Any] = []
    for one in searches:
        if one.config["task"] not in prepared:
            _of(one.combination, partial(prepare_task, one.setup.task, consoles.results))
            prepared.append(one.config["task"])


def _run_all(sweep: Sweep, follow_up: FollowUp, consoles: Consoles) -> list[SweptSearch]:
    """Run what is left of each search; return those that stopped before their end.

    Raises:
        ClusterLostError: what they run on is gone.
        KeyboardInterrupt: the user stopped it.
    """
    stopped = []
    for number, one in enumerate(sweep.searches, start=1):
        title = f"search {number} of {len(sweep.searches)}: {one.combination}"
        if one.is_finished:
            consoles.results.print(f"{title} is finished", soft_wrap=True)
            continue

        consoles.results.print(f"\n{title}", soft_wrap=True)
        try:
            with invoked_by(Invocation(one.arguments)):
                search(one.setup, one.config, follow_up)
        except ClusterLostError:
            raise
        except InputError as error:
            consoles.problems.print(f"{title} stopped: {error}", soft_wrap=True)
            stopped.append(one)
    return stopped


def _compare(sweep: Sweep, console: Console) -> None:
    """Print the best of each search and the mean of each searcher, and write the report."""
    folders = [one.setup.run for one in sweep.searches if has_trials(one.setup.run)]
    if not folders:
        return
    runs = read_runs(folders, partial(console.print, soft_wrap=True))

    # The ranking has all architectures of all runs, the best first.
    best: dict[str, Row] = {}
    for one in ranking_of(runs).architectures:
        best.setdefault(one.run.name, one.row)
    console.print()
    if best:
        title = f"Best of each search in {short_path(sweep.folder)}"
        console.print(leaderboard_table(list(best.values()), title, console.width))

    # A mean over searches that solve several problems would say nothing.
    different = ", ".join(cautions(runs))
    lines = [f"The searches differ in {different}: rewards need not compare."] if different else _mean_lines(runs)
    for line in lines:
        console.print(line, soft_wrap=True)
    console.print(f"\n{write_report(runs, NUM_REPORTED, sweep.folder / REPORT_NAME)}", soft_wrap=True)


def _mean_lines(runs: Sequence[ReportedRun]) -> list[str]:
    """Return a line on the mean best reward of each searcher that has several runs, as far as all of them go."""
    lines = []
    for group, curve in mean_curves(runs).items():
        if curve.results and len(curve.runs) > 1:
            interval = f"95 % interval {curve.low[-1]:.4f} to {curve.high[-1]:.4f}"
            mean = f"mean best reward {curve.mean[-1]:.4f} after {curve.results[-1]} results"
            lines.append(f"{group}: {mean} ({interval}, {len(curve.runs)} searches)")
    return lines
