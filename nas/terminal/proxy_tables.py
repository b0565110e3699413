"""Figures of proxies in a terminal: a row for each figure, a column for each proxy."""

import math
from collections.abc import Callable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from nas.assessment.assessment import AssessedProxy, Assessment, Comparison
from nas.assessment.figures import AgainstTarget, ProxyFigures, Ranking
from nas.assessment.interval import Estimate


def figures_table(assessment: Assessment) -> Table:
    """Return the figures of all proxies, each with its 95 % interval."""
    table = Table(title=figures_title(assessment), title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("figure")
    for proxy in assessment.proxies:
        table.add_column(Text(proxy.figures.name), justify="right")

    # No text of a run is taken for markup.
    for head, *texts in figure_rows(assessment):
        table.add_row(Text(head), *(Text(text) for text in texts))
    return table


def figures_title(assessment: Assessment) -> str:
    """Return what the figures are of, in a line."""
    against = f" against {assessment.target}" if assessment.target else ""
    return f"{assessment.num_architectures} architectures{against}, each figure with its 95 % interval"


def figure_rows(assessment: Assessment) -> list[list[str]]:
    """Return a row for each figure that some proxy has: its name, then a text for each proxy."""
    columns = [dict(_figures(proxy.figures, assessment.top)) for proxy in assessment.proxies]
    heads = dict.fromkeys(head for column in columns for head, text in column.items() if text)
    return [[head, *(column.get(head, "") for column in columns)] for head in heads]


def verdict_lines(assessment: Assessment) -> list[str]:
    """Return the verdict on each proxy, on its own line."""
    return [f"{proxy.figures.name}: {proxy.verdict}" for proxy in assessment.proxies]


def comparison_lines(assessment: Assessment) -> list[str]:
    """Return which proxy ranks best, and what is known of each pair; none where there is nothing to compare."""
    lines = [_comparison_line(one) for one in assessment.comparisons if not math.isnan(one.spearman.value)]
    if not lines:
        return []

    best = _highest(assessment.proxies, lambda target: target.overall.spearman)
    cheapest = _highest(assessment.proxies, lambda target: target.per_second)
    summary = f"ranks best: {best}" + (f"; best per second: {cheapest}" if cheapest else "")
    return [summary, *lines]


def estimate_text(estimate: Estimate) -> str:
    """Return an estimate with its interval, as `0.81 [0.43, 0.97]`; empty where it is not known."""
    if math.isnan(estimate.value):
        return ""
    value = _number(estimate.value)
    return value if math.isnan(estimate.low) else f"{value} [{_number(estimate.low)}, {_number(estimate.high)}]"


def _figures(figures: ProxyFigures, top: int) -> Iterator[tuple[str, str]]:
    yield "seconds per trial", estimate_text(figures.seconds)
    yield "deviation between architectures", estimate_text(figures.between)
    yield "deviation between seeds", estimate_text(figures.within)
    yield "difference told apart", _number(figures.smallest_difference)
    yield "intraclass correlation", estimate_text(figures.intraclass)
    yield "intraclass correlation in the better half", estimate_text(figures.intraclass_of_better_half)

    if figures.target is not None:
        yield from _ranking(figures.target.overall, "", top)
        yield from _ranking(figures.target.better_half, " in the better half", top)
        yield "Spearman without noise", estimate_text(figures.target.corrected)
        yield "Spearman per second", estimate_text(figures.target.per_second)
        yield "hopeless dropped with the worst quarter", estimate_text(figures.target.early_drop.of_hopeless)
        yield "good dropped with the worst quarter", estimate_text(figures.target.early_drop.of_good)

    if figures.settles_at is not None:
        yield "ranking by loss settles at", f"{figures.settles_at:.0%} of the training"


def _ranking(ranking: Ranking, where: str, top: int) -> Iterator[tuple[str, str]]:
    yield f"Spearman{where}", estimate_text(ranking.spearman)
    yield f"Kendall tau-b{where}", estimate_text(ranking.kendall)
    yield f"regret of the top {top}{where}", estimate_text(ranking.regret)


def _comparison_line(comparison: Comparison) -> str:
    difference = comparison.spearman
    if math.isnan(difference.low) or difference.low <= 0 <= difference.high:
        said = "not told apart"
    else:
        said = f"{comparison.first if difference.value > 0 else comparison.second} ranks better"
    per_second = estimate_text(comparison.per_second)
    more = f", per second {per_second}" if per_second else ""
    return f"{comparison.first} less {comparison.second}: Spearman {estimate_text(difference)}{more}: {said}"


def _highest(proxies: Sequence[AssessedProxy], figure: Callable[[AgainstTarget], Estimate]) -> str:
    """Return the name of the proxy with the highest value of a figure; empty where none has one."""
    found = {proxy.figures.name: figure(proxy.figures.target) for proxy in proxies if proxy.figures.target is not None}
    known = {name: estimate.value for name, estimate in found.items() if not math.isnan(estimate.value)}
    return max(known, key=lambda name: known[name]) if known else ""


def _number(value: float) -> str:
    """Return a number with three digits or so, whatever its size."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
