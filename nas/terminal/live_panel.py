"""The live panel: a running search in a few lines of a terminal, drawn again a few times a second."""

from collections.abc import Sequence

from rich import box
from rich.console import Console, ConsoleOptions, OverflowMethod, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.record.trial import Status
from nas.terminal.figures import duration, shown_figures
from nas.terminal.status import Standing
from search_space.spec import short_key

_SPARKS = "▁▂▃▄▅▆▇█"
_ASCII_SPARKS = "_.:-=+*#"
_COUNTED: tuple[tuple[Status, str, str], ...] = (
    ("completed", "trained", "green"),
    ("stopped", "stopped early", "yellow"),
    ("running", "running", "cyan"),
    ("reused", "known already", "default"),
    ("rejected", "over a limit", "yellow"),
    ("failed", "failed", "red"),
)
_NONE_YET = Text("none yet", "dim")
_MAX_WIDTH = 110
_GIB = 2**30
_LABEL_WIDTH = len("rewards")
_ECHO_WIDTH = 3
"""Columns that stay free: a terminal echoes ^C behind the panel, and in a full line that would begin a new one, which
would not be erased."""


class LivePanel:
    """The panel of one moment, as rich draws it; always of the same height.

    Threads print beside it: each erases the panel that it last drew, and draws a new one. With one height that erases
    the right lines, whichever thread comes first.

    Args:
        title: text in the panel's upper edge.
        standing: status of the search at that moment.
    """

    def __init__(self, title: str, standing: Standing) -> None:
        self._title = title
        self._standing = standing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the panel in the width and the characters that the terminal has."""
        standing = self._standing
        width = min(options.max_width - _ECHO_WIDTH, _MAX_WIDTH)
        cut: OverflowMethod = "crop" if options.ascii_only else "ellipsis"

        lines = Table.grid(padding=(0, 2, 0, 0))
        lines.add_column(style="dim", overflow=cut, no_wrap=True, min_width=_LABEL_WIDTH)
        lines.add_column(overflow=cut, no_wrap=True)

        # Every row is always there, with or without something to say: the height must not change.
        lines.add_row("ended", _ended(standing, width // 5, cut))
        lines.add_row("trials", _counts(standing))
        lines.add_row("best", _best(standing))
        lines.add_row("", _best_blocks(standing))
        lines.add_row("rewards", _rewards(standing, _ASCII_SPARKS if options.ascii_only else _SPARKS))
        lines.add_row("speed", _speed(standing))

        yield Panel(
            lines,
            title=Text(self._title, "bold"),
            title_align="left",
            subtitle=_gpus(standing),
            subtitle_align="left",
            box=box.ASCII if options.ascii_only else box.ROUNDED,
            border_style="dim",
            padding=(0, 1),
            width=width,
        )


def sparkline(values: Sequence[float], characters: str = _SPARKS) -> str:
    """Return a character for each value, from the first for the lowest to the last for the highest."""
    low, high = min(values), max(values)
    if low == high:
        return characters[len(characters) // 2] * len(values)
    return "".join(characters[round((value - low) / (high - low) * (len(characters) - 1))] for value in values)


def _ended(standing: Standing, bar_width: int, cut: OverflowMethod) -> Table:
    bar = ProgressBar(total=standing.num_trials, completed=standing.num_done, width=bar_width, complete_style="green")
    done = f"{standing.num_done} of {standing.num_trials}"
    left = "" if standing.left_s is None else f", about {duration(standing.left_s)} left"

    line = Table.grid(padding=(0, 2, 0, 0))
    # A narrow terminal cuts the bar and the time, never the count.
    for min_width in (None, len(done), None):
        line.add_column(overflow=cut, no_wrap=True, min_width=min_width)
    line.add_row(bar, Text(done, "bold"), Text(f"{duration(standing.elapsed_s)}{left}"))
    return line


def _counts(standing: Standing) -> Text:
    by_frequency = sorted(standing.failures.items(), key=lambda item: -item[1])
    kinds = ", ".join(f"{kind} {number}" for kind, number in by_frequency)

    parts = []
    for status, name, style in _COUNTED:
        number = standing.statuses.get(status, 0)
        if number:
            parts.append(Text(f"{number} {name}{f' ({kinds})' if status == 'failed' else ''}", style))

    parts += [Text(f"baseline {name} running", "cyan") for name in standing.baselines]
    # Attempts are not trials: theirs are still running, or counted above.
    if standing.num_retried:
        attempts = "attempt" if standing.num_retried == 1 else "attempts"
        parts.append(Text(f"{standing.num_retried} {attempts} lost", "yellow"))
    return Text(", ").join(parts) if parts else _NONE_YET


def _best(standing: Standing) -> Text:
    best = standing.best
    if best is None or best.reward is None:
        return _NONE_YET

    words = [f"trial {best.number}"]
    if best.rung:
        words.append(f"rung {best.rung}")
    for figure in shown_figures(best.metrics, "panel"):
        # A metric that is the reward itself stands there already.
        if best.metrics[figure.name] != best.reward:
            words.append(figure.terminal_words(best.metrics[figure.name]))
    return Text.assemble((f"{best.reward:.4f}", "bold green"), "  ", "  ".join(words))


def _best_blocks(standing: Standing) -> Text:
    best = standing.best
    return Text("" if best is None else f"{short_key(best.key)}  {best.candidate.short_form}", "dim")


def _rewards(standing: Standing, characters: str) -> Text:
    if not standing.rewards:
        return _NONE_YET
    span = f"{min(standing.rewards):.4f} to {max(standing.rewards):.4f}"
    return Text.assemble(f"{span}  ", (sparkline(standing.rewards, characters), "green"))


def _speed(standing: Standing) -> Text:
    words = []
    if standing.per_hour is not None:
        words.append(f"{standing.per_hour:,.{0 if standing.per_hour >= 10 else 1}f} trials an hour")

    if standing.num_workers:
        words.append(f"{standing.num_busy} of {standing.num_workers} workers busy")
    elif not standing.num_busy and not standing.num_starting:
        words.append("waiting for a worker")
    if standing.num_starting:
        words.append(f"{standing.num_starting} {'worker' if standing.num_starting == 1 else 'workers'} starting")
    if standing.busy_share is not None and standing.num_done:
        words.append(f"{standing.busy_share:.0%} of the time")

    if standing.longest is not None:
        words.append(f"longest: trial {standing.longest}, {duration(standing.longest_s)}")
    return Text(", ".join(words))


def _gpus(standing: Standing) -> Text | None:
    """Return what GPUs workers use and the least that is free on one, for the panel's lower edge; None without GPUs."""
    parts = []
    for name in dict.fromkeys(gpu.name for gpu in standing.gpus):
        free, total = min((gpu.free_bytes, gpu.total_bytes) for gpu in standing.gpus if gpu.name == name)
        number = sum(gpu.name == name for gpu in standing.gpus)
        workers = "worker" if number == 1 else "workers"
        parts.append(f"{number} {workers} on {name}, {free / _GIB:.0f} of {total / _GIB:.0f} GiB free")
    return Text("; ".join(parts), "dim") if parts else None
