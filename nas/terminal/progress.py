"""Progress of long work: a bar in a terminal, a line now and then elsewhere."""

import time
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_LINE_EVERY_S = 30.0
"""Time between two lines where there is no terminal."""


class TaskView:
    """Shows the progress of work that is done once, before the first trial."""

    def __init__(self, console: Console) -> None:
        self._progress = progress_bar(console, _Speed(), TimeRemainingColumn())
        self._bars: dict[str, TaskID] = {}
        self._begun: dict[str, tuple[float, int]] = {}
        self._last_line_s = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()

    def report(self, what: str, num_done: int, num_total: int) -> None:
        """Show that `num_done` of `num_total` are done."""
        is_new = what not in self._bars
        if is_new:
            # Begins at what an earlier start has done, which must not count as speed.
            self._bars[what] = self._progress.add_task(what, total=num_total, completed=num_done)
        self._progress.update(self._bars[what], completed=num_done, total=num_total)

        if not self._progress.console.is_terminal:
            self._print_line(what, num_done, num_total, is_new=is_new)

    def _print_line(self, what: str, num_done: int, num_total: int, *, is_new: bool) -> None:
        now = time.monotonic()
        if is_new:
            self._progress.console.print(f"{what}: {num_total}" if num_total > 1 else what)
            self._begun[what] = (now, num_done)
            self._last_line_s = now
            return

        if now - self._last_line_s <= _LINE_EVERY_S:
            return
        # What an earlier start has done does not count as speed.
        begun_s, num_before = self._begun[what]
        speed = (num_done - num_before) / (now - begun_s)
        left = timedelta(seconds=round((num_total - num_done) / speed)) if speed else "?"
        self._progress.console.print(f"{what}: {num_done} of {num_total}, {speed:.0f}/s, {left} left")
        self._last_line_s = now


class _Speed(ProgressColumn):
    """A column with the speed, in steps a second."""

    def render(self, task: Task) -> Text:
        """Return the text of the column."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f}/s")


def progress_bar(console: Console, *columns: ProgressColumn, transient: bool = False) -> Progress:
    """Return a progress bar, with `columns` after the usual ones; it shows nothing where there is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        *columns,
        console=console,
        transient=transient,
        disable=not console.is_terminal,
    )
