"""What a terminal shows of a running search: one panel below the lines, drawn anew a few times a second."""

from collections.abc import Sequence

from rich import box
from rich.console import Console, ConsoleOptions, OverflowMethod, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.record.trial import Status
from nas.terminal.figures import count, duration
from nas.terminal.status import Standing
from search_space.spec import short_form

_SPARKS = "▁▂▃▄▅▆▇█"
_ASCII_SPARKS = "_.:-=+*#"
_COUNTED: tuple[tuple[Status, str, str], ...] = (
    ("completed", "trained", "green"),
    ("running", "running", "cyan"),
    ("reused", "known already", "default"),
    ("rejected", "over a limit", "yellow"),
    ("failed", "failed", "red"),
)
_COSTS = (("macs", "MACs"), ("params", "params"))
_NONE_YET = Text("none yet", "dim")
_MAX_WIDTH = 110
_LABEL_WIDTH = len("rewards")
_ROOM_FOR_ECHO = 3
"""A terminal echoes ^C behind the panel; in a full line that would begin a new one, and not all would be erased."""


class LivePanel:
    """The panel of one moment, as rich draws it; always of the same height.

    Threads print beside it: each erases the panel that it knows of, and draws a new one. With one height that is the
    right one whoever comes first.

    Args:
        title: what is searched.
        standing: how it stands.
    """

    def __init__(self, title: str, standing: Standing) -> None:
        self._title = title
        self._standing = standing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it in the width and the characters that there are."""
        standing = self._standing
        width = min(options.max_width - _ROOM_FOR_ECHO, _MAX_WIDTH)
        bar = ProgressBar(
            total=standing.num_trials, completed=standing.num_done, width=width // 5, complete_style="green"
        )
        cut: OverflowMethod = "crop" if options.ascii_only else "ellipsis"
        head = Table.grid(padding=(0, 2, 0, 0))
        done = f"{standing.num_done} of {standing.num_trials}"
        for min_width in (None, len(done), None):
            head.add_column(overflow=cut, no_wrap=True, min_width=min_width)
        head.add_row(bar, Text(done, "bold"), _time(standing))
        rows = Table.grid(padding=(0, 2, 0, 0))
        rows.add_column(style="dim", overflow=cut, no_wrap=True, min_width=_LABEL_WIDTH)
        rows.add_column(overflow=cut, no_wrap=True)
        rows.add_row("ended", head)
        rows.add_row("trials", _counts(standing))
        rows.add_row("best", _best(standing))
        rows.add_row("", Text("" if standing.best is None else short_form(standing.best.spec.blocks), "dim"))
        rows.add_row("rewards", _rewards(standing, _ASCII_SPARKS if options.ascii_only else _SPARKS))
        rows.add_row("speed", _speed(standing))
        yield Panel(
            rows,
            title=Text(self._title, "bold"),
            title_align="left",
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


def _time(standing: Standing) -> Text:
    left = "" if standing.left_s is None else f", about {duration(standing.left_s)} left"
    return Text(f"{duration(standing.elapsed_s)}{left}")


def _counts(standing: Standing) -> Text:
    kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(standing.failures.items(), key=lambda item: -item[1]))
    parts = [
        Text(f"{number} {name}{f' ({kinds})' if status == 'failed' else ''}", style)
        for status, name, style in _COUNTED
        if (number := standing.statuses.get(status, 0))
    ]
    if standing.num_retried:
        attempts = "attempt" if standing.num_retried == 1 else "attempts"
        parts.append(Text(f"{standing.num_retried} {attempts} lost", "yellow"))
    return Text(", ").join(parts) if parts else _NONE_YET


def _best(standing: Standing) -> Text:
    best = standing.best
    if best is None or best.reward is None:
        return _NONE_YET
    words = [f"trial {best.number}", *([f"rung {best.rung}"] if best.rung else [])]
    if "ap" in best.metrics and best.metrics["ap"] != best.reward:
        words.append(f"AP {100 * best.metrics['ap']:.1f}")
    words += [f"{count(best.metrics[name])} {shown}" for name, shown in _COSTS if name in best.metrics]
    return Text.assemble((f"{best.reward:.4f}", "bold green"), "  ", "  ".join(words))


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
        words.append(f"{standing.num_running} of {standing.num_workers} workers busy")
    elif not standing.num_running:
        words.append("waiting for a worker")
    if standing.busy_share is not None and standing.num_done:
        words.append(f"{standing.busy_share:.0%} of the time")
    if standing.longest is not None:
        words.append(f"longest: trial {standing.longest}, {duration(standing.longest_s)}")
    return Text(", ".join(words))
