"""What trials are to a person: words, times and tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.table import Table

from nas.record.ranking import Row
from nas.record.trial import Trial
from nas.terminal.figures import count
from search_space.spec import short_form


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


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its head, and the text of a row with its place in the table."""

    head: str
    align: Literal["left", "right"]
    text: Callable[[int, Row], str]


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """Return the columns that these rows fill; AP in percent."""

    def has(name: str) -> bool:
        return any(name in row.trial.metrics for row in rows)

    def figure(name: str, show: Callable[[float], str]) -> Callable[[int, Row], str]:
        return lambda rank, row: "" if (own := row.value(name)) is None else show(own)

    def percent(share: float) -> str:
        return f"{100 * share:.1f}"

    columns = [Column("#", "right", lambda rank, row: str(rank))]
    if any(row.run for row in rows):
        columns.append(Column("run", "left", lambda rank, row: row.run))
    columns.append(Column("trial", "right", lambda rank, row: str(row.trial.number)))
    columns.append(Column("reward", "right", figure("reward", "{:.4f}".format)))
    if any(row.trial.rung for row in rows):
        columns.append(Column("rung", "right", lambda rank, row: str(row.trial.rung)))
    columns += [Column(name.upper(), "right", figure(name, percent)) for name in ("ap", "ap50", "ap75") if has(name)]
    columns.append(Column("MACs", "right", figure("macs", count)))
    columns.append(Column("params", "right", figure("params", count)))
    if has("latency_ms"):
        columns.append(Column("latency ms", "right", figure("latency_ms", "{:.1f}".format)))
    columns.append(Column("seconds", "right", figure("seconds", "{:.0f}".format)))
    if any(row.reused_by for row in rows):
        columns.append(Column("reused", "right", lambda rank, row: str(len(row.reused_by) or "")))
    columns.append(Column("key", "left", lambda rank, row: row.trial.key))
    columns.append(
        Column("levels (r: residual) | outputs", "left", lambda rank, row: short_form(row.trial.spec.blocks))
    )
    return columns
