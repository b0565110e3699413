"""Plots that need no script: a few points with their intervals, or curves with their bands, as SVG."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from nas.assessment.interval import Estimate

_WIDTH, _HEIGHT = 900, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 34, 48
_MAX_TICKS = 7
_NUM_COLOURS = 6


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one name.

    Attributes:
        name: stands in the legend.
        points: the points, each an x and a y with their intervals; one whose x or y is not known is left out.
        is_curve: joined by a line with a band, instead of a mark with whiskers each.
    """

    name: str
    points: tuple[tuple[Estimate, Estimate], ...]
    is_curve: bool = False

    @property
    def known(self) -> list[tuple[Estimate, Estimate]]:
        """The points that can be drawn."""
        return [(x, y) for x, y in self.points if math.isfinite(x.value) and math.isfinite(y.value)]


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of a plot: values from `low` to `high`, at positions from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the position of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round values within the axis, `_MAX_TICKS` at most."""
        rough = (self.high - self.low) / _MAX_TICKS
        size: float = 10.0 ** math.floor(math.log10(rough))
        step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
        return [step * number for number in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def plot_svg(series: Sequence[Series], x_title: str, y_title: str, label: str) -> str:
    """Return a plot of some series; empty where none has a point that can be drawn.

    Args:
        series: what is drawn.
        x_title: title of the horizontal axis.
        y_title: title of the vertical axis.
        label: what the plot shows, for who cannot see it.
    """
    points = [point for one in series for point in one.known]
    if not points:
        return ""
    x_axis = _axis((x for x, _ in points), _LEFT, _WIDTH - _RIGHT)
    y_axis = _axis((y for _, y in points), _HEIGHT - _BOTTOM, _TOP)

    parts = [*_grid(x_axis, y_axis), *_titles(x_title, y_title)]
    for number, one in enumerate(series):
        colour = f"var(--series-{number % _NUM_COLOURS + 1})"
        parts += _curve(one, x_axis, y_axis, colour) if one.is_curve else _marks(one, x_axis, y_axis, colour)
        parts.append(_legend(one.name, number, len(series), colour))

    return (
        f'<svg class="static" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _axis(estimates: Iterable[Estimate], start: float, end: float) -> _Axis:
    """Return an axis that holds some values with their intervals, and a little more."""
    values = [value for one in estimates for value in (one.value, one.low, one.high) if math.isfinite(value)]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    return _Axis(low - margin, high + margin, start, end)


def _grid(x_axis: _Axis, y_axis: _Axis) -> list[str]:
    parts = []
    for value in y_axis.ticks():
        y = y_axis.at(value)
        parts.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, "var(--line)", 1))
        parts.append(_text(_LEFT - 8, y + 4, f"{value:.3g}", "end"))
    for value in x_axis.ticks():
        x = x_axis.at(value)
        parts.append(_line(x, _TOP, x, _HEIGHT - _BOTTOM, "var(--line)", 1))
        parts.append(_text(x, _HEIGHT - _BOTTOM + 18, f"{value:.3g}", "middle"))
    return parts


def _titles(x_title: str, y_title: str) -> list[str]:
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    height = (_TOP + _HEIGHT - _BOTTOM) / 2
    upright = f'<g transform="rotate(-90 14 {height:.1f})">{_text(14, height, y_title, "middle")}</g>'
    return [_text(middle, _HEIGHT - 8, x_title, "middle"), upright]


def _marks(series: Series, x_axis: _Axis, y_axis: _Axis, colour: str) -> list[str]:
    """Return a mark for each point, with whiskers along both axes where there are intervals."""
    parts = []
    for x, y in series.known:
        at_x, at_y = x_axis.at(x.value), y_axis.at(y.value)
        if math.isfinite(y.low):
            parts.append(_line(at_x, y_axis.at(y.low), at_x, y_axis.at(y.high), colour, 1.6))
        if math.isfinite(x.low):
            parts.append(_line(x_axis.at(x.low), at_y, x_axis.at(x.high), at_y, colour, 1.6))
        parts.append(f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="5.5" fill="{colour}"/>')
    return parts


def _curve(series: Series, x_axis: _Axis, y_axis: _Axis, colour: str) -> list[str]:
    """Return the line through the points, above the band of their intervals."""
    line = [(x_axis.at(x.value), y_axis.at(y.value)) for x, y in series.known]
    banded = [(x, y) for x, y in series.known if math.isfinite(y.low)]
    edge = [(x_axis.at(x.value), y_axis.at(y.high)) for x, y in banded]
    edge += [(x_axis.at(x.value), y_axis.at(y.low)) for x, y in reversed(banded)]
    return [
        f'<polygon points="{_path(edge)}" fill="{colour}" fill-opacity="0.16"/>',
        f'<polyline points="{_path(line)}" fill="none" stroke="{colour}" stroke-width="2.4"/>',
    ]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _legend(name: str, number: int, num_series: int, colour: str) -> str:
    """Return the legend of one series, in its share of the width."""
    x = _LEFT + number * (_WIDTH - _LEFT - _RIGHT) / num_series
    return f'<circle cx="{x + 6:.1f}" cy="14" r="5" fill="{colour}"/>{_text(x + 18, 18.5, name, "start")}'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="var(--soft)" font-size="13">{escape(text)}</text>'
