"""The live view of a search: a panel in a terminal, and a line for each trial that ends."""

import time
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from types import MappingProxyType, TracebackType
from typing import Self

from rich.console import Console, OverflowMethod
from rich.live import Live
from rich.text import Text

from foundation import printable
from nas.engine.workers import Workers
from nas.record.baselines import Baseline
from nas.record.numerics import NumericsCount, count_numerics, is_beside_others, starting_line
from nas.record.record import Record
from nas.record.trial import Failure, Trial
from nas.terminal.cell_panel import CellPanel
from nas.terminal.console import Verbosity, is_in_kernel
from nas.terminal.live_panel import LivePanel
from nas.terminal.status import Tally
from nas.terminal.trial_line import BEST_MARK, baseline_line, trial_line
from proxy_tasks import Numerics
from search_space.spec import short_key

_REFRESHES_PER_S = 4
_OWN_NUMBERS: Mapping[str, int] = MappingProxyType({})
_NO_RUNS: Mapping[str, NumericsCount] = MappingProxyType({})


class SearchView:
    """Shows how a search goes.

    `quiet` says only what goes wrong; `verbose` adds which trial starts, where a failure was raised, and how many
    workers there are. The panel is drawn by a thread of its own, so that times go on while this one trains. In a
    cell of a notebook the lines of trials stand above the panel, the last of them alone.

    Args:
        console: console to print on.
        title: stands above the panel.
        num_trials: how many trials the run is to have.
        record: the run's, as it stands when the view opens.
        verbosity: how much to say.
        numbers: numbers to show instead of the trials' own, by key.
        beside: results of other runs that this one's stand beside, by the arithmetic that they were computed in.
    """

    def __init__(
        self,
        console: Console,
        title: str,
        num_trials: int,
        record: Record,
        verbosity: Verbosity = "normal",
        numbers: Mapping[str, int] = _OWN_NUMBERS,
        beside: Mapping[str, NumericsCount] = _NO_RUNS,
    ) -> None:
        self._console = console
        self._title = title
        self._num_trials = num_trials
        self._verbosity = verbosity
        self._numbers = numbers
        self._record = record
        self._beside = beside
        self._computed_in: list[Numerics] = []
        self._counts = (0, 0)
        self._tally = Tally(record, num_trials, time.monotonic())
        # Never held while something is printed: the thread that draws takes the console first, then this.
        self._lock = Lock()
        # What a cell of a notebook shows can be written over by its kernel alone.
        is_in_cell = verbosity == "normal" and not console.is_terminal and is_in_kernel()
        self._cell = CellPanel(self._panel, console.width) if is_in_cell else None
        self._live = Live(
            get_renderable=self._panel, console=console, refresh_per_second=_REFRESHES_PER_S, transient=True
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal and self._verbosity != "quiet":
            self._live.start(refresh=True)
        if self._cell is not None:
            self._cell.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._live.stop()
        if self._cell is not None:
            self._cell.stop()

    def show(self, trial: Trial) -> None:
        """Take in a trial that has started, of which an attempt failed, or that has ended."""
        trial = self._numbered(trial)
        # The thread that draws the panel reads the tally too.
        with self._lock:
            change = self._tally.take(trial, time.monotonic())
            num_done = self._tally.num_done
        self._refresh_cell()

        if change == "started":
            if self._verbosity == "verbose":
                named = f"{short_key(trial.key)} {trial.candidate.short_form}"
                self._console.print(f"trial {trial.number} starts: {named}", soft_wrap=True)
        elif change == "attempt_failed":
            self._show_failed_attempt(f"trial {trial.number}", trial.attempts[-1])
        elif self._verbosity != "quiet" or trial.status == "failed":
            self._show_outcome(trial, num_done, is_best=change == "ended_best")

        # Something went wrong, so quiet or not.
        for remark in trial.remarks:
            self._console.print(f"trial {trial.number}: {printable(remark)}", soft_wrap=True)

    def show_baseline(self, baseline: Baseline, has_started: bool) -> None:
        """Take in a baseline that has started, of which an attempt failed, or that has ended."""
        with self._lock:
            self._tally.take_baseline(baseline.name, time.monotonic(), is_running=has_started)
        self._refresh_cell()

        if has_started:
            if self._verbosity == "verbose":
                self._console.print(f"baseline {baseline.name} starts", soft_wrap=True)
        elif baseline.status == "running":
            self._show_failed_attempt(f"baseline {baseline.name}", baseline.attempts[-1])
        elif self._verbosity != "quiet" or baseline.status == "failed":
            self._say(self._cut(baseline_line(baseline)))
            self._show_traceback(baseline.failure)

        for remark in baseline.remarks:
            self._console.print(f"baseline {baseline.name}: {printable(remark)}", soft_wrap=True)

    def note_workers(self, workers: Workers) -> None:
        """Take in which workers there are from now on."""
        with self._lock:
            self._tally.note_workers(workers, time.monotonic())
        self._refresh_cell()
        counts, self._counts = self._counts, (workers.num_up, workers.num_starting)

        failure = workers.failed_start
        if failure is not None:
            self._console.print(f"a worker did not start ({failure.kind}): {failure.message}", soft_wrap=True)
        if workers.remark and self._verbosity != "quiet":
            self._console.print(workers.remark, soft_wrap=True)
        if self._verbosity == "verbose" and counts != self._counts:
            self._console.print(f"{workers.num_up} workers, {workers.num_starting} starting")

    def note_numerics(self, numerics: Numerics) -> None:
        """Say what trials are computed in, the first time that one is; where earlier results differ, even if quiet."""
        # What other workers compute in counts from their first trial on, not from its result.
        so_far = dict.fromkeys(self._computed_in, 0) | dict(count_numerics(self._record.trials.values()))
        self._computed_in.append(numerics)
        beside = {"results so far": so_far, **self._beside}
        if self._verbosity != "quiet" or is_beside_others(numerics, beside):
            self._console.print(starting_line(numerics, beside), soft_wrap=True)

    def stopping(self, why: str) -> None:
        """Say that no more trials are started, and which are still awaited."""
        with self._lock:
            num_busy = self._tally.standing(time.monotonic()).num_busy
        waits = f"; waiting for {num_busy} running trials, Ctrl-C to leave them" if num_busy else ""
        self._console.print(f"stopping: {why}{waits}", soft_wrap=True)

    def _show_failed_attempt(self, which: str, failure: Failure) -> None:
        self._console.print(f"{which} is left open ({failure.kind}): {failure.message}", soft_wrap=True)
        self._show_traceback(failure)

    def _show_outcome(self, trial: Trial, num_done: int, *, is_best: bool) -> None:
        mark = BEST_MARK if is_best else ""
        width = self._console.width if self._console.is_terminal or self._cell is not None else None
        line = self._cut(trial_line(trial, num_done, self._num_trials, width), len(mark))
        self._say(line.append(mark, "green"))
        self._show_traceback(trial.failure)

    def _say(self, line: Text) -> None:
        """Show how something ended: in a cell among the last lines above the panel, else as a line that stays."""
        if self._cell is not None:
            self._cell.add(line.plain)
        else:
            self._console.print(line, soft_wrap=True)

    def _refresh_cell(self) -> None:
        if self._cell is not None:
            self._cell.refresh()

    def _cut(self, line: str, num_reserved: int = 0) -> Text:
        """Return a line cut to the width of the terminal, with some columns left at its end."""
        text = Text(line)
        # A failure is told whole where nothing else is: no summary follows that would repeat it.
        if (self._console.is_terminal and self._verbosity != "quiet") or self._cell is not None:
            overflow: OverflowMethod = "crop" if self._console.options.ascii_only else "ellipsis"
            text.truncate(self._console.width - num_reserved, overflow=overflow)
        return text

    def _show_traceback(self, failure: Failure | None) -> None:
        if self._verbosity == "verbose" and failure is not None and failure.traceback:
            self._console.print(failure.traceback, soft_wrap=True)

    def _panel(self) -> LivePanel:
        with self._lock:
            standing = self._tally.standing(time.monotonic())
        best = None if standing.best is None else self._numbered(standing.best)
        return LivePanel(self._title, replace(standing, best=best))

    def _numbered(self, trial: Trial) -> Trial:
        return replace(trial, number=self._numbers.get(trial.key, trial.number))
