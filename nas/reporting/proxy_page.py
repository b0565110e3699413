"""The page of a study of proxies: one HTML file with its verdicts, figures and plots, without any script.

Names of proxies may have been written by anybody, as those of runs on record are: all text is escaped.
"""

import math
from collections.abc import Callable
from html import escape
from importlib.resources import files
from string import Template

from nas.assessment.assessment import AssessedProxy, Assessment
from nas.assessment.figures import CurvePoint
from nas.assessment.interval import Estimate
from nas.reporting.markup import note, section, table_of
from nas.reporting.static_plot import Series, plot_svg
from nas.terminal.proxy_tables import comparison_lines, figure_rows, figures_title

_ASSETS = files("nas.reporting") / "assets"


def proxy_page(assessment: Assessment, name: str) -> str:
    """Return the page of a study.

    Args:
        assessment: what it found out.
        name: what it is called.
    """
    parts = [_verdicts(assessment), _costs(assessment), _figures(assessment), *_along_the_training(assessment)]
    return Template(_asset("proxy.html")).substitute(
        title=escape(name),
        style=_asset("page.css"),
        subtitle=escape(figures_title(assessment)),
        facts="\n".join(_fact(*fact) for fact in _facts(assessment)),
        sections="\n".join(parts),
    )


def _facts(assessment: Assessment) -> list[tuple[str, str]]:
    shown = [("architectures", f"{assessment.num_architectures}"), ("proxies", f"{len(assessment.proxies)}")]
    if assessment.num_left_out:
        shown.append(("left out, without a reward in some run", f"{assessment.num_left_out}"))
    return shown


def _fact(name: str, text: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>"


def _verdicts(assessment: Assessment) -> str:
    rows = [f"<tr><td>{escape(one.figures.name)}</td><td>{escape(one.verdict)}</td></tr>" for one in assessment.proxies]
    compared = [note(line) for line in comparison_lines(assessment)]
    return section("Verdict", f'<div class="scroll">{table_of(("proxy", "verdict"), rows)}</div>', *compared)


def _figures(assessment: Assessment) -> str:
    rows = []
    for head, *texts in figure_rows(assessment):
        cells = "".join(f'<td class="number">{escape(text)}</td>' for text in texts)
        rows.append(f"<tr><td>{escape(head)}</td>{cells}</tr>")

    heads = ("figure", *(one.figures.name for one in assessment.proxies))
    text = "Each figure with its 95 % interval, by bootstrap over architectures."
    return section("Figures", note(text), f'<div class="scroll">{table_of(heads, rows, numbers_from=1)}</div>')


def _costs(assessment: Assessment) -> str:
    """Return the plot of cost against correlation; of the reliability of one training where there is no target."""
    series = [Series(one.figures.name, ((one.figures.seconds, _worth(one)),)) for one in assessment.proxies]
    # The target does not compare with itself.
    drawn = [one for one in series if one.name != assessment.target]
    what = "Spearman's correlation with the target" if assessment.target else "intraclass correlation"

    plot = plot_svg(drawn, "seconds per trial", what, f"{what} against seconds per trial, one point for each proxy")
    text = "Whiskers are 95 % intervals." if plot else "Durations are not on record, or no correlation is known."
    return section("Cost against correlation", note(text), plot)


def _worth(proxy: AssessedProxy) -> Estimate:
    target = proxy.figures.target
    return proxy.figures.intraclass if target is None else target.overall.spearman


def _along_the_training(assessment: Assessment) -> list[str]:
    """Return the sections on the loss curve; none where no proxy has one."""
    if not any(one.figures.curve for one in assessment.proxies):
        return []

    of_whom = "the target's mean rewards" if assessment.target else "the rewards at its end"
    ranking = _curves(assessment, lambda point: point.spearman, "Spearman's correlation of the loss")
    spread = _curves(assessment, lambda point: point.intraclass, "intraclass correlation of the loss")
    text = (
        f"The lower loss at each part of the training is taken for the better, and compared with {of_whom}. Bands are "
    )
    text += "95 % intervals."
    return [
        section("Ranking along the training", note(text), ranking),
        section(
            "Differences along the training", note("The architectures' share in the variance of the loss."), spread
        ),
    ]


def _curves(assessment: Assessment, figure: Callable[[CurvePoint], Estimate], title: str) -> str:
    series = []
    for one in assessment.proxies:
        points = [(Estimate(point.share, math.nan, math.nan), figure(point)) for point in one.figures.curve]
        series.append(Series(one.figures.name, tuple(points), is_curve=True))
    return plot_svg(series, "share of the training", title, f"{title}, along the training")


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8").rstrip("\n")
