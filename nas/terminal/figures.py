"""The table of figures: what each one is called, how its number is written, and which direction is better."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, assert_never

from foundation import printable

Better: TypeAlias = Literal["higher", "lower", "neither"]
"""Direction in which a figure is to move; `neither` where that is not known."""

NumberStyle: TypeAlias = Literal["whole", "fraction", "count", "tenths", "seconds", "adaptive"]
"""A way to write a number; see `number_text`."""

View: TypeAlias = Literal["line", "panel", "table", "replay", "card", "facts", "hover", "page_table"]
"""A view that shows some of the figures: a trial's line, the live panel, the leaderboard's and the replay's table in a
terminal; the cards, the facts, the texts under the mouse and the table of all trials in a report."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a trial and the way it is shown.

    Attributes:
        name: its name on record.
        head: its name in a terminal.
        title: its name in a report.
        style: how its number is written.
        better: which direction is better.
        views: views that show it.
        unit: word that follows the number in a sentence, in place of the figure's name.
    """

    name: str
    head: str
    title: str
    style: NumberStyle
    better: Better
    views: tuple[View, ...] = ()
    unit: str = ""

    def text(self, value: float) -> str:
        """Return a value as it is written where its name stands beside it."""
        return number_text(value, self.style)

    def terminal_words(self, value: float) -> str:
        """Return a value as a terminal says it in a sentence, as `76.9M MACs` or `AP 0.4310`."""
        return self._words(self.head, value)

    def report_words(self, value: float) -> str:
        """Return a value as a report says it in a sentence, as `76.9M multiply-adds` or `AP 0.4310`."""
        return self._words(self.title, value)

    def _words(self, name: str, value: float) -> str:
        number = self.text(value)
        if self.unit:
            return f"{number} {self.unit}"
        return f"{number} {name}" if self.style == "count" else f"{name} {number}"


_OWN_VIEWS: tuple[View, ...] = ("panel", "table", "replay", "card", "hover", "page_table")
"""Views that show a figure that this table does not hold: a metric of a user's own task."""


def _precision(name: str, *views: View) -> Figure:
    """Return one of COCO's twelve figures, of boxes or of masks: a fraction everywhere, as pycocotools prints it."""
    title = name.upper().replace("MASK_", "mask ") if views else name
    return Figure(name, title, title, "fraction", "higher", views)


SPEC_HEAD = "levels (r: residual) | outputs"
"""Head of a column of specs in short form."""

_TABLE: tuple[Figure, ...] = (
    Figure("trial", "trial", "trial", "whole", "neither", ("table", "page_table")),
    Figure("result", "result", "result", "whole", "neither", ("page_table",)),
    Figure("rung", "rung", "rung", "whole", "neither", ("table", "page_table")),
    Figure("reward", "reward", "reward", "fraction", "higher", ("table", "hover", "page_table")),
    Figure("replay.mean", "mean", "mean over seeds", "fraction", "higher"),
    Figure("replay.deviation", "±", "deviation over seeds", "fraction", "neither"),
    Figure("replay.trainings", "n", "trainings", "whole", "neither"),
    _precision("ap", "panel", "table", "card", "hover", "page_table"),
    _precision("ap50", "table", "page_table"),
    _precision("ap75", "table", "page_table"),
    *(_precision(f"ap_{size}") for size in ("small", "medium", "large")),
    *(_precision(f"ar{num_detections}") for num_detections in (1, 10, 100)),
    *(_precision(f"ar_{size}") for size in ("small", "medium", "large")),
    _precision("mask_ap", "panel", "table", "card", "hover", "page_table"),
    *(_precision(f"mask_{name}", "page_table") for name in ("ap50", "ap75")),
    *(_precision(f"mask_ap_{size}") for size in ("small", "medium", "large")),
    *(_precision(f"mask_ar{num_detections}") for num_detections in (1, 10, 100)),
    *(_precision(f"mask_ar_{size}") for size in ("small", "medium", "large")),
    Figure("top1", "top-1", "top-1", "fraction", "higher", ("panel", "table", "card", "hover", "page_table")),
    Figure("top5", "top-5", "top-5", "fraction", "higher", ("table", "page_table")),
    Figure(
        "macs",
        "MACs",
        "multiply-adds",
        "count",
        "lower",
        ("line", "panel", "table", "replay", "card", "facts", "hover", "page_table"),
    ),
    Figure(
        "params", "params", "parameters", "count", "lower", ("panel", "table", "replay", "card", "hover", "page_table")
    ),
    Figure(
        "latency_ms",
        "latency ms",
        "latency, ms",
        "tenths",
        "lower",
        ("table", "card", "hover", "page_table"),
        unit="ms",
    ),
    Figure("latency_spread_ms", "latency spread ms", "spread of latency, ms", "tenths", "neither", unit="ms"),
    Figure("epochs_before", "epochs before", "epochs before", "adaptive", "neither", ("page_table",)),
    Figure("loss", "loss", "final training loss", "fraction", "lower", ("page_table",)),
    Figure("seconds", "seconds", "seconds", "seconds", "lower", ("table", "hover", "page_table")),
)
"""The known figures, in the order in which they are shown; unknown ones come before the last."""

_KNOWN: Mapping[str, Figure] = {figure.name: figure for figure in _TABLE}
_POSITIONS: Mapping[str, float] = {name: position for position, name in enumerate(_KNOWN)}


def figure_of(name: str) -> Figure:
    """Return how a figure is shown; that of a single class, as `ap/person`, is written as that of all, in no view."""
    if name in _KNOWN:
        return _KNOWN[name]

    # Names come from files that anybody may have written, and end up in a terminal.
    shown_name = printable(name)
    whole, _, part = name.partition("/")
    if part and whole in _KNOWN:
        return replace(_KNOWN[whole], name=name, head=shown_name, title=shown_name, views=())
    return Figure(name, shown_name, shown_name, "adaptive", "neither", () if part else _OWN_VIEWS)


def figures_in_order(names: Iterable[str]) -> list[Figure]:
    """Return the figures of these names, in the order in which they are shown."""

    def order(figure: Figure) -> tuple[float, str]:
        return _POSITIONS.get(figure.name, _POSITIONS["seconds"] - 0.5), figure.name

    return sorted((figure_of(name) for name in set(names)), key=order)


def shown_figures(names: Iterable[str], view: View) -> list[Figure]:
    """Return those of the figures that a view shows, in its order."""
    return [figure for figure in figures_in_order(names) if view in figure.views]


def number_text(value: float, style: NumberStyle) -> str:
    """Return a number in a style: `adaptive` suits any size, for figures that are not known."""
    match style:
        case "whole" | "seconds":
            return f"{value:.0f}"
        case "fraction":
            return f"{value:.4f}"
        case "count":
            return count(value)
        case "tenths":
            return f"{value:.1f}"
        case "adaptive":
            return _adaptive(value)
        case _:
            assert_never(style)


def count(number: float) -> str:
    """Return a large number with three figures and K, M or B."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        # A number that three figures round up to the next letter gets that letter.
        if number >= 0.9995 * size:
            value = number / size
            return f"{value:.3g}{letter}" if value < 999.5 else f"{value:.0f}{letter}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """Return a time span in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    return f"{seconds / 3600:.1f} h"


def _adaptive(value: float) -> str:
    size, sign = abs(value), "-" if value < 0 else ""
    if size >= 999.5:
        return f"{sign}{count(size)}"
    if size > 1 and value == round(value):
        return f"{value:.0f}"
    # Four decimals would make nothing of a small one.
    return f"{value:.4f}" if size >= 0.001 or size == 0 else f"{value:.3g}"
