"""Trials in words and in tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.table import Table

from nas.record.numerics import numerics_text
from nas.record.ranking import Row
from nas.record.trial import Trial
from nas.terminal.figures import SPEC_HEAD, Figure, figure_of, shown_figures
from search_space.spec import short_form


def describe(trial: Trial) -> str:
    """Return the outcome of a trial in a few words."""
    if trial.failure is not None:
        return f"{trial.status} ({trial.failure.kind}): {trial.failure.message}"
    reward = "" if trial.reward is None else f"reward {trial.reward:.4f}"
    if trial.status == "reused":
        return f"{reward}  same as trial {trial.reused_from}, not trained again"

    words = [reward]
    if trial.rung:
        words.append(f"rung {trial.rung}")
    words += [figure.terminal_words(trial.metrics[figure.name]) for figure in shown_figures(trial.metrics, "line")]
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
    """A column of a leaderboard: its head, and the text of a row that has a rank in the table."""

    head: str
    align: Literal["left", "right"]
    text: Callable[[int, Row], str]


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """Return the columns that these rows fill; AP in percent."""
    metrics = {name for row in rows for name in row.trial.metrics}

    # Columns that would be empty are left out: a terminal is narrow.
    columns = [Column("#", "right", lambda rank, row: str(rank))]
    if any(row.run for row in rows):
        columns.append(Column("run", "left", lambda rank, row: row.run))
    columns += [_figure_column(figure_of("trial")), _figure_column(figure_of("reward"))]
    if any(row.trial.rung for row in rows):
        columns.append(_figure_column(figure_of("rung")))

    # Seconds always have a column, even where no trial took any.
    columns += [_figure_column(figure) for figure in shown_figures(metrics - {"seconds"}, "table")]
    columns.append(_figure_column(figure_of("seconds")))

    if any(row.reused_by for row in rows):
        columns.append(Column("reused", "right", lambda rank, row: str(len(row.reused_by) or "")))
    if len({row.trial.numerics for row in rows}) > 1:
        columns.append(Column("computed in", "left", lambda rank, row: numerics_text(row.trial.numerics)))
    columns.append(Column("key", "left", lambda rank, row: row.trial.key))
    columns.append(Column(SPEC_HEAD, "left", lambda rank, row: short_form(row.trial.spec.blocks)))
    return columns


def _figure_column(figure: Figure) -> Column:
    def text(rank: int, row: Row) -> str:
        value = row.value(figure.name)
        return "" if value is None else figure.terminal_text(value)

    return Column(figure.head, "right", text)
