"""Search and replay around the loop: what is shown, summed up and tracked, however a run ends."""

import io
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from rich.console import Console

from foundation import InputError
from nas.engine.failures import FailurePolicy
from nas.engine.workers import OnWorkers, ignore_workers
from nas.executors.base import TrialSource
from nas.options.command_line import compose
from nas.record.journal import Journal
from nas.running import Consoles, Shown, make_consoles, print_tracking_hints, run_and_show
from nas.setup import Setup, build_setup
from nas.tracking.base import TrackedRun
from nas.tracking.results import Result
from proxy_tasks.base import ProxyTask
from proxy_tasks.landscape import Landscape


@dataclass
class Noting:
    """A tracker that notes the results that it is given."""

    results: list[Result] = field(default_factory=list)

    def open(self, run: TrackedRun) -> "Noting":
        return self

    def add(self, result: Result) -> None:
        self.results.append(result)

    def close(self) -> None: ...

    def hint(self, run: Path) -> str:
        return f"look at {run.name}"


class Stopped:
    """An executor that ends at once, as after Ctrl-C."""

    def run(self, source: TrialSource, task: ProxyTask, on_workers: OnWorkers = ignore_workers) -> None:
        raise KeyboardInterrupt


def setup_in(folder: Path) -> Setup:
    config = compose("config", ["task=landscape", "executor=local", "tracking=none", "num_trials=3", f"run={folder}"])
    return replace(build_setup(config), tracking={"noting": Noting()})


class Screen:
    """Keeps what a run prints, and counts its summaries."""

    def __init__(self) -> None:
        self.file = io.StringIO()
        self.num_summaries = 0

    def run(self, setup: Setup) -> None:
        console = Console(file=self.file, width=160)
        with Journal(setup.run, {}) as journal:
            run_and_show(setup, journal, Consoles(console, console), Shown("a run", self._summarise))

    def _summarise(self) -> None:
        self.num_summaries += 1


def num_tracked(setup: Setup) -> int:
    tracker = setup.tracking["noting"]
    assert isinstance(tracker, Noting)
    return len(tracker.results)


def test_every_trial_is_printed_and_tracked_and_the_run_summed_up_once(tmp_path: Path) -> None:
    setup, screen = setup_in(tmp_path), Screen()
    screen.run(setup)
    assert all(f"[{done}/3] trial {done - 1}" in screen.file.getvalue() for done in (1, 2, 3))
    assert screen.num_summaries == 1
    assert num_tracked(setup) == 3


def test_a_finished_run_starts_no_executor_and_is_tracked_and_summed_up(tmp_path: Path) -> None:
    Screen().run(setup_in(tmp_path))
    again, screen = replace(setup_in(tmp_path), executor=Stopped()), Screen()
    screen.run(again)
    assert screen.file.getvalue() == ""
    assert screen.num_summaries == 1
    assert num_tracked(again) == 3


def test_ctrl_c_is_passed_on_after_the_summary(tmp_path: Path) -> None:
    screen = Screen()
    with pytest.raises(KeyboardInterrupt):
        screen.run(replace(setup_in(tmp_path), executor=Stopped()))
    assert screen.num_summaries == 1


def test_why_a_search_stopped_is_raised_after_the_summary(tmp_path: Path) -> None:
    screen = Screen()
    failing = replace(setup_in(tmp_path), task=Landscape(failure_rate=1.0), failures=FailurePolicy(nan="stop"))
    with pytest.raises(InputError, match=r"^trial 0 failed \(nan\): NonFiniteLossError"):
        screen.run(failing)
    assert screen.num_summaries == 1
    assert "stopping: trial 0 failed (nan)" in screen.file.getvalue()


def test_quiet_silences_results_and_never_problems() -> None:
    quiet, normal = make_consoles("quiet"), make_consoles("normal")
    assert (quiet.results.quiet, quiet.problems.quiet) == (True, False)
    assert normal.results is normal.problems
    assert not normal.results.quiet


def test_hints_of_trackers_name_the_run(tmp_path: Path) -> None:
    file = io.StringIO()
    setup = setup_in(tmp_path / "mine")
    print_tracking_hints(setup.tracking, setup.run, Console(file=file, width=160))
    assert file.getvalue() == "Curves:  look at mine\n"
