"""The page of a report: one HTML file that holds its data, its plots and all that draws them, and loads nothing.

Text on record may have been written by anybody. It is escaped where it becomes HTML, the data stands in a block that no
browser runs, and the page's policy lets no script run but the two that are named by their hash, and nothing load.
"""

import base64
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.metadata import distribution
from importlib.resources import files
from string import Template

from pydantic import TypeAdapter

from nas.reporting.cards import Card, cards
from nas.reporting.curves import MeanCurve, mean_curves
from nas.reporting.loss_curves import LossCurves, loss_curves
from nas.reporting.occurrence import Learned, learned_by_group
from nas.reporting.ranked import ranking_of
from nas.reporting.runs import ReportedRun
from nas.reporting.sections import caution, facts, sections, subtitle, title
from nas.reporting.trained import TrainedNetwork
from nas.reporting.trials import TrialColumns, trial_columns
from nas.terminal.figures import SPEC_HEAD, Better, NumberStyle, figures_in_order

FILE_NAME = "report.html"
"""Name of the page in a run folder."""
_ASSETS = files("nas.reporting") / "assets"
_SCRIPTS = (
    "unpack.js",
    "values.js",
    "plots.js",
    "progress.js",
    "trade_off.js",
    "learned.js",
    "training.js",
    "cards.js",
    "table.js",
    "start.js",
)
"""Parts of one script, in the order in which they stand on the page."""


@dataclass(frozen=True, slots=True)
class PageRun:
    """The part of a run that the page's plots need."""

    name: str
    group: str


@dataclass(frozen=True, slots=True)
class PageGroup:
    """The part of a group of runs that the page's plots need."""

    name: str
    curve: MeanCurve
    learned: Learned | None


@dataclass(frozen=True, slots=True)
class PageFigure:
    """The part of a figure that the page's plots and its table need.

    Attributes:
        name: its name in the columns of the trials.
        title: its name for a reader.
        style: how its number is written.
        better: which direction is better.
        is_column: whether the table of all trials has it.
        is_hovered: whether the text under the mouse has it.
    """

    name: str
    title: str
    style: NumberStyle
    better: Better
    is_column: bool
    is_hovered: bool


@dataclass(frozen=True, slots=True)
class PageData:
    """The data that the page's script reads."""

    runs: tuple[PageRun, ...]
    groups: tuple[PageGroup, ...]
    figures: tuple[PageFigure, ...]
    spec_head: str
    trials: TrialColumns
    loss_curves: LossCurves
    cards: tuple[Card, ...]


def page_of(
    runs: Sequence[ReportedRun], top: int, *, trained: Sequence[TrainedNetwork] = (), state: str | None = None
) -> str:
    """Return the page of one run, or of several that are compared, with the `top` best architectures.

    What of them was trained in full has a section of its own. A page with a state is served: it asks its server for the
    present one, and loads itself again where that is another.
    """
    curves = mean_curves(runs)
    learned = learned_by_group(runs)
    losses = loss_curves(runs)
    trials = trial_columns(runs)
    ranking = ranking_of(runs)
    data = PageData(
        runs=tuple(PageRun(run.name, run.group) for run in runs),
        groups=tuple(PageGroup(group, curve, learned.get(group)) for group, curve in curves.items()),
        figures=_figures(trials),
        spec_head=SPEC_HEAD,
        trials=trials,
        loss_curves=losses,
        cards=cards(ranking.architectures[:top], names_run=len(runs) > 1),
    )

    # Imported here so that help does not wait for it.
    from plotly.offline import get_plotlyjs

    # The policy names scripts by the hash of their exact text, so they are made before it.
    scripts = _SCRIPTS if state is None else (*_SCRIPTS, "follow.js")
    plotly, script = get_plotlyjs(), "\n".join(_asset(name) for name in scripts)

    return Template(_asset("page.html")).substitute(
        policy=_policy((plotly, script), asks_server=state is not None),
        title=escape(title(runs)),
        style=_asset("page.css"),
        subtitle=escape(subtitle(runs)),
        facts=facts(runs, ranking),
        caution=caution(runs),
        live="" if state is None else f'<p class="note" id="live" data-state="{escape(state)}" aria-live="polite"></p>',
        sections=sections(runs, ranking, curves, learned, losses, top, trained),
        data=_embedded(data),
        licence=_licence(),
        plotly=_packed(plotly),
        script=script,
    )


def _figures(trials: TrialColumns) -> tuple[PageFigure, ...]:
    """Return how the page shows each column of numbers that the trials have."""
    names = ("trial", "result", "rung", "reward", *trials.metrics, "seconds")

    return tuple(
        PageFigure(
            name=figure.name,
            title=figure.title,
            style=figure.style,
            better=figure.better,
            is_column="page_table" in figure.views,
            is_hovered="hover" in figure.views,
        )
        for figure in figures_in_order(names)
    )


def _embedded(data: PageData) -> str:
    """Return the data as JSON in which nothing can end the block that it stands in, or begin a comment."""
    text = TypeAdapter(PageData).dump_json(data).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@cache
def _packed(script: str) -> str:
    """Return a script as the page's own script unpacks it: compressed, in base64."""
    # Level 6 takes as little space as 9 here.
    return base64.b64encode(zlib.compress(script.encode(), 6)).decode()


def _policy(scripts: Sequence[str], *, asks_server: bool) -> str:
    """Return a policy under which these scripts run and no others, and nothing is loaded but from the page's server.

    `unsafe-eval` is for plotly.js, which compiles its WebGL drawing at run time.
    """
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    rules: Mapping[str, Sequence[str]] = {
        "default-src": ("'none'",),
        "script-src": (*(f"'sha256-{digest}'" for digest in hashes), "'unsafe-eval'"),
        "style-src": ("'unsafe-inline'",),
        "img-src": ("data:", "blob:"),
        "base-uri": ("'none'",),
        "form-action": ("'none'",),
    }
    if asks_server:
        rules = {**rules, "connect-src": ("'self'",)}
    return "; ".join(f"{name} {' '.join(values)}" for name, values in rules.items())


def _licence() -> str:
    """Return the text of plotly.js's licence, which comes with the package."""
    # The text stands in an HTML comment, which two hyphens in a row could end.
    found = [path for path in distribution("plotly").files or () if path.name.startswith("LICENSE")]
    return "\n".join(path.read_text(encoding="utf-8").replace("--", "- -") for path in found[:1])


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8").rstrip("\n")
