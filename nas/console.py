"""What trials are to a person: words, times and tables."""

from collections.abc import Sequence

from rich.table import Table

from nas.ranking import Row, columns_of, count
from nas.trial import Trial


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
        table.add_column(column.head, justify=column.align, overflow="fold")
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
