"""What a person sees: progress while a search runs, tables at its end."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import TextColumn
from rich.table import Table
from rich.text import Text

from nas.ranking import Row, columns_of, count
from nas.trial import Trial, best_trials, place
from proxy_tasks.progress import progress_bar
from search_space.spec import short_form


class SearchView:
    """Progress of a search: a live bar in a terminal, and one line for each trial that ends.

    Args:
        console: where to print.
        num_trials: of the run.
        trials: on record when the view opens.
    """

    def __init__(self, console: Console, num_trials: int, trials: Mapping[int, Trial]) -> None:
        self._num_trials = num_trials
        self._num_done = sum(trial.status != "running" for trial in trials.values())
        self._running: set[int] = set()
        self._num_ended = 0
        best = best_trials(trials, 1)
        self._best = best[0] if best else None
        self._started = time.monotonic()
        self._progress = progress_bar(console, TextColumn("{task.fields[state]}"), transient=True)
        self._bar = self._progress.add_task("trials", total=num_trials, completed=self._num_done, state="starting")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, trial: Trial) -> None:
        """Take in a trial that has started, of which an attempt failed, or that has ended."""
        if trial.status == "running" and trial.number not in self._running:
            self._running.add(trial.number)
        elif trial.status == "running":
            self._running.remove(trial.number)
            failure = trial.attempts[-1]
            text = f"trial {trial.number} is left open ({failure.kind}): {failure.message}"
            self._progress.console.print(text, soft_wrap=True)
        else:
            self._num_done += 1
            self._num_ended += 1
            self._running.discard(trial.number)
            is_best = trial.reward is not None and (self._best is None or place(trial)[:2] < place(self._best)[:2])
            if is_best:
                self._best = trial
            self._progress.console.print(self._line(trial, is_best))
        self._progress.update(self._bar, completed=self._num_done, state=self._state())

    def stopping(self, why: str) -> None:
        """Say that no more trials are started, and what is waited for."""
        waits = f"; waiting for {len(self._running)} running trials, Ctrl-C to leave them" if self._running else ""
        self._progress.console.print(f"stopping: {why}{waits}", soft_wrap=True)

    def _line(self, trial: Trial, is_best: bool) -> Text:
        head = f"[{self._num_done}/{self._num_trials}] trial {trial.number}"
        text = f"{head:<20} {describe(trial):<54} {short_form(trial.spec.blocks)}"
        return Text.assemble(text, (" best", "green") if is_best else "")

    def _state(self) -> str:
        words = [f"{len(self._running)} running" if self._running else "waiting for a worker"]
        if self._best is not None and self._best.reward is not None:
            words.append(f"best {self._best.reward:.3f}")
        left = self._num_trials - self._num_done
        if self._num_ended and left:
            seconds = (time.monotonic() - self._started) / self._num_ended * left
            words.append(f"about {duration(seconds)} left")
        return ", ".join(words)


def describe(trial: Trial) -> str:
    """Return what became of a trial, in a few words."""
    if trial.failure is not None:
        return f"{trial.status} ({trial.failure.kind}): {trial.failure.message}"
    reward = "" if trial.reward is None else f"reward {trial.reward:.4f}"
    if trial.status == "reused":
        return f"{reward}  same as trial {trial.reused_from}, not trained again"
    words = [reward, *([f"rung {trial.rung}"] if trial.rung else [])]
    if "macs" in trial.metrics:
        words.append(f"{count(trial.metrics['macs'])} MACs")
    if trial.seconds:
        words.append(f"{sum(trial.seconds.values()):.0f} s")
    return "  ".join(words)


def leaderboard_table(rows: Sequence[Row], title: str) -> Table:
    """Return the rows as a table, in the given order."""
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    columns = columns_of(rows)
    for column in columns:
        table.add_column(column.head, justify=column.align)
    for rank, row in enumerate(rows, start=1):
        table.add_row(*(column.text(rank, row) for column in columns))
    return table


def duration(seconds: float) -> str:
    """Return a time span in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    return f"{seconds / 3600:.1f} h"
