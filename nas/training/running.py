"""A training in one process, with all that a person sees of it and all that is kept."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from foundation import short_path
from nas.executors.interrupt import Interrupt
from nas.running import Consoles, make_consoles, print_tracking_hints
from nas.terminal.console import Verbosity
from nas.tracking import TrackedRun, Tracker, Tracking
from nas.training.journal import TrainingJournal, read_events
from nas.training.results import TrainingResults
from nas.training.view import TrainingView
from proxy_tasks.full_training.gathering import first_does, lost_others
from proxy_tasks.full_training.head_names import HEADS
from proxy_tasks.full_training.plan import TrainingPlan
from proxy_tasks.full_training.trainer import Standing, Watch, train_in_full
from proxy_tasks.training.processes import Processes


def run_training(
    plan: TrainingPlan,
    processes: Processes,
    interrupt: Interrupt,
    verbosity: Verbosity,
    config: Mapping[str, Any],
    trackers: Mapping[str, Tracker],
) -> None:
    """Train to the end, or until a signal comes; the first process holds the run folder and speaks for all.

    Args:
        plan: what to train.
        processes: the processes that train together.
        interrupt: notes the signals.
        verbosity: how much to print.
        config: the whole configuration, for the record.
        trackers: where else the training is shown, by name.

    Raises:
        InputError: as `train_in_full`, or the run folder is in use.
        OthersEndedError: another process has ended.
    """
    consoles = make_consoles(verbosity)
    opened: list[TrainingJournal] = []

    def take_folder() -> None:
        opened.append(TrainingJournal(plan.run))

    with lost_others():
        first_does(processes, take_folder)
        kept: AbstractContextManager[object] = opened[0] if opened else nullcontext()
        with kept, ExitStack() as shown:

            def track() -> Callable[[], None]:
                return shown.enter_context(_tracking(plan.run, trackers, consoles)).update

            view: Watch = _Nobody()
            words = HEADS[plan.head]
            if opened:
                view = TrainingView(consoles.results, consoles.problems, opened[0], config, track, words)
            is_done = train_in_full(plan, processes, view, lambda: interrupt.is_asked)
            if not opened:
                return

            if is_done:
                opened[0].append("finished")
                consoles.results.print(
                    f"{words.network.capitalize()}: {short_path(plan.run / words.file)}", soft_wrap=True
                )
            else:
                opened[0].append("stopped")
                consoles.problems.print("stopped, with a checkpoint; the same command resumes")
            print_tracking_hints(trackers, plan.run, consoles.results)


def _tracking(folder: Path, trackers: Mapping[str, Tracker], consoles: Consoles) -> Tracking:
    """Return the tracking of a training, which is known by its first start, and shown with the options of that."""
    first = next(event for event in read_events(folder) if event["event"] == "started")
    say, warn = (partial(console.print, soft_wrap=True) for console in (consoles.results, consoles.problems))
    run = TrackedRun(folder, first["time"], first.get("config", {}), kind="training", say=say)
    return Tracking(trackers, run, TrainingResults(folder).read, say, warn)


class _Nobody:
    """Follows the training in the processes that do not speak."""

    def remark(self, text: str) -> None: ...

    def started(self, step: int, num_steps: int, num_images: int, num_scored: int) -> None: ...

    def step(self, standing: Callable[[], Standing]) -> None: ...

    def evaluated(self, standing: Standing, metrics: dict[str, float], weights: str, *, is_best: bool) -> None: ...
