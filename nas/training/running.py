"""A training in one process, with all that a person sees of it and all that is kept."""

from contextlib import AbstractContextManager, nullcontext

from foundation import short_path
from nas.executors.interrupt import Interrupt
from nas.terminal.console import Verbosity, make_console
from nas.training.journal import TrainingJournal
from nas.training.view import TrainingView
from proxy_tasks.detection.processes import Processes
from proxy_tasks.full_training.gathering import first_does, lost_others
from proxy_tasks.full_training.plan import TrainingPlan
from proxy_tasks.full_training.trainer import BEST, Standing, train_in_full


def run_training(plan: TrainingPlan, processes: Processes, verbosity: Verbosity, interrupt: Interrupt) -> None:
    """Train to the end, or until a signal comes; the first process holds the run folder and speaks for all.

    Raises:
        InputError: as `train_in_full`, or the run folder is in use.
        OthersEndedError: another process has ended.
    """
    problems = make_console()
    console = make_console(quiet=True) if verbosity == "quiet" else problems
    opened: list[TrainingJournal] = []

    def take_folder() -> None:
        opened.append(TrainingJournal(plan.run))

    with lost_others():
        first_does(processes, take_folder)
        kept: AbstractContextManager[object] = opened[0] if opened else nullcontext()
        with kept:
            view = TrainingView(console, problems, opened[0]) if opened else _Nobody()
            is_done = train_in_full(plan, processes, view, lambda: interrupt.is_asked)
            if not opened:
                return

            if is_done:
                opened[0].append("finished")
                console.print(f"Detector: {short_path(plan.run / BEST)}", soft_wrap=True)
            else:
                opened[0].append("stopped")
                problems.print("stopped, with a checkpoint; the same command resumes")


class _Nobody:
    """Follows the training in the processes that do not speak."""

    def remark(self, text: str) -> None: ...

    def started(self, step: int, num_steps: int, num_images: int, num_scored_objects: int) -> None: ...

    def step(self, standing: object) -> None: ...

    def evaluated(self, standing: Standing, metrics: dict[str, float], weights: str, *, is_best: bool) -> None: ...
