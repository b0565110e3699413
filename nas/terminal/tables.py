"""Trials in words and in tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.table import Table
from rich.text import Text

from nas.record.baselines import Baseline
from nas.record.numerics import numerics_text
from nas.record.ranking import REPLAY_FIGURES, BaselineRow, Row
from nas.record.trial import Trial
from nas.terminal.figures import SPEC_HEAD, Figure, figure_of, shown_figures
from nas.terminal.seed_line import MARK
from search_space.spec import short_key

_MIN_SHRUNK_WIDTH = 12
"""Columns below which what is left of the blocks says nothing."""


def describe(trial: Trial | Baseline) -> str:
    """Return the outcome of a trial, or of a baseline, in a few words."""
    if trial.failure is not None:
        return f"{trial.status} ({trial.failure.kind}): {trial.failure.message}"
    reward = "" if trial.reward is None else f"reward {trial.reward:.4f}"
    if isinstance(trial, Trial) and trial.status == "reused":
        return f"{reward or 'stopped'}  same as trial {trial.reused_from}, not trained again"

    words = [reward]
    if isinstance(trial, Trial) and trial.stopped_at is not None:
        words = [f"stopped at {trial.stopped_at:.0%} of its training"]
    if isinstance(trial, Trial) and trial.rung:
        words.append(f"rung {trial.rung}")
    words += [figure.terminal_words(trial.metrics[figure.name]) for figure in shown_figures(trial.metrics, "line")]
    if trial.seconds:
        words.append(f"{sum(trial.seconds.values()):.0f} s")
    return "  ".join(words)


def leaderboard_table(rows: Sequence[Row], title: str, width: int, baselines: Sequence[BaselineRow] = ()) -> Table:
    """Return the rows as a table, in the given order, and below them baselines, which have no rank.

    In a narrow terminal blocks are cut off at their end. Figures are never cut: those that do not fit are left out,
    from the last on, and named below the table.
    """
    columns = columns_of(rows, baselines)
    shown = _fitting(columns, rows, baselines, width)
    left_out = [column.head for column in columns if column not in shown]

    table = Table(
        title=title,
        title_justify="left",
        caption=f"Left out for want of space: {', '.join(left_out)}" if left_out else None,
        caption_justify="left",
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    for column in shown:
        # Rich takes the width that it lacks from columns that could be wrapped; a text that cannot is cut.
        table.add_column(_one_line(column.head), justify=column.align, no_wrap=not column.may_shrink)
    for texts in texts_of(shown, rows, baselines):
        table.add_row(*map(_one_line, texts))
    return table


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a leaderboard.

    Attributes:
        head: its head.
        align: side that its texts are aligned to.
        text: text of a row that has a rank in the table.
        baseline_text: text of a baseline.
        is_kept: whether it is there in the narrowest terminal too.
        may_shrink: whether its texts may be cut off at their end.
    """

    head: str
    align: Literal["left", "right"]
    text: Callable[[int, Row], str]
    baseline_text: Callable[[BaselineRow], str] = lambda row: ""
    is_kept: bool = False
    may_shrink: bool = False


def texts_of(columns: Sequence[Column], rows: Sequence[Row], baselines: Sequence[BaselineRow]) -> list[tuple[str, ...]]:
    """Return the text of each column for every row, then for every baseline."""
    ranked = [tuple(column.text(rank, row) for column in columns) for rank, row in enumerate(rows, start=1)]
    return [*ranked, *(tuple(column.baseline_text(row) for column in columns) for row in baselines)]


def columns_of(rows: Sequence[Row], baselines: Sequence[BaselineRow] = ()) -> list[Column]:
    """Return the columns that these rows fill."""
    metrics = {name for row in rows for name in row.trial.metrics}
    metrics |= {name for row in baselines for name in row.baseline.metrics}

    # Columns that would be empty are left out: a terminal is narrow.
    columns = [Column("#", "right", _rank_text, lambda row: "baseline", is_kept=True)]
    if any(row.run for row in rows) or any(row.run for row in baselines):
        columns.append(Column("run", "left", lambda rank, row: row.run, lambda row: row.run, is_kept=True))
    columns.append(_figure_column(figure_of("trial"), is_kept=True))
    means = [*(row.replayed for row in rows), *(row.replayed for row in baselines)]
    if any(mean is not None for mean in means):
        columns += [_figure_column(figure_of(name), is_kept=True) for name in REPLAY_FIGURES]
    columns.append(_figure_column(figure_of("reward"), is_kept=True))
    if any(row.trial.rung for row in rows):
        columns.append(_figure_column(figure_of("rung")))

    # Seconds always have a column, even where no trial took any.
    columns += [_figure_column(figure) for figure in shown_figures(metrics - {"seconds"}, "table")]
    columns.append(_figure_column(figure_of("seconds")))

    if any(row.reused_by for row in rows):
        columns.append(Column("reused", "right", lambda rank, row: str(len(row.reused_by) or "")))
    numerics = {row.trial.numerics for row in rows}
    numerics |= {row.baseline.numerics for row in baselines if row.baseline.reward is not None}
    if len(numerics) > 1:
        columns.append(
            Column(
                "computed in",
                "left",
                lambda rank, row: numerics_text(row.trial.numerics),
                lambda row: numerics_text(row.baseline.numerics),
            )
        )
    columns.append(Column("key", "left", lambda rank, row: short_key(row.trial.key), is_kept=True))
    columns.append(Column(SPEC_HEAD, "left", lambda rank, row: row.trial.candidate.short_form, may_shrink=True))
    return columns


def _rank_text(rank: int, row: Row) -> str:
    return f"{rank}{MARK if row.standing == 'may be as good' else ''}"


def _figure_column(figure: Figure, *, is_kept: bool = False) -> Column:
    def text(rank: int, row: Row) -> str:
        value = row.value(figure.name)
        return "" if value is None else figure.text(value)

    def baseline_text(row: BaselineRow) -> str:
        # Its name stands in the place of a trial's number, and why there is no reward in that of the reward.
        if figure.name == "trial":
            return row.baseline.name
        if figure.name == "reward" and row.baseline.reward is None:
            # One that replays alone have trained has ended, without a reward in the search.
            status = "" if row.baseline.status == "completed" else row.baseline.status
            return row.baseline.failure.kind if row.baseline.failure else status
        value = row.value(figure.name)
        return "" if value is None else figure.text(value)

    return Column(figure.head, "right", text, baseline_text, is_kept)


def _fitting(
    columns: Sequence[Column], rows: Sequence[Row], baselines: Sequence[BaselineRow], width: int
) -> list[Column]:
    """Return the columns that fit into a width; where it is too small the last ones go."""
    widths = []
    all_texts = texts_of(columns, rows, baselines)
    for i, column in enumerate(columns):
        longest = max(len(text) for text in (column.head, *(texts[i] for texts in all_texts)))
        widths.append(min(longest, _MIN_SHRUNK_WIDTH) if column.may_shrink else longest)

    shown = list(columns)
    total = sum(widths) + len("  ") * (len(columns) - 1)
    for column, own_width in zip(reversed(columns), reversed(widths), strict=True):
        if total > width and not column.is_kept:
            shown.remove(column)
            total -= own_width + len("  ")
    return shown


def _one_line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
