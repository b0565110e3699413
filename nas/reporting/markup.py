"""The parts that pages are made of, as HTML; headings and texts are escaped here."""

from collections.abc import Iterable, Sequence
from html import escape

_PLOT = '<div class="plot {size}" id="{id}" role="img" aria-label="{label}"></div>'


def details(heading: str, body: str) -> str:
    """Return text that opens under its heading."""
    return f"<details><summary>{escape(heading)}</summary>{body}</details>"


def section(heading: str, *parts: str) -> str:
    """Return a section of a page."""
    return f"<section><h2>{escape(heading)}</h2>{''.join(parts)}</section>"


def note(text: str) -> str:
    """Return a paragraph that explains."""
    return f'<p class="note">{escape(text)}</p>'


def plot_place(id: str, size: str, label: str) -> str:
    """Return the place of a plot, which the page's script fills."""
    return _PLOT.format(id=id, size=size, label=escape(label))


def table_of(heads: Sequence[str], rows: Iterable[str], numbers_from: int | None = None) -> str:
    """Return a table; heads from a position on are those of numbers."""
    classes = ["text" if numbers_from is None or i < numbers_from else "number" for i in range(len(heads))]
    cells = zip(classes, heads, strict=True)
    shown = "".join(f'<th scope="col" class="{kind}">{escape(head)}</th>' for kind, head in cells)
    return f"<table><thead><tr>{shown}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
