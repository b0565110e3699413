"""The parts that runs are shown by in a cell of a notebook, as HTML; texts are escaped here."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Literal


def picture(svg: str) -> str:
    """Return a picture on white, as dark themes have a dark ground; one wider than the cell is scrolled."""
    return f'<div style="background: white; overflow-x: auto; width: fit-content; max-width: 100%">{svg}</div>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], align: Sequence[Literal["left", "right"]]) -> str:
    """Return a table; Jupyter gives it its looks."""
    head = "".join(_cell("th", text, side) for text, side in zip(heads, align, strict=True))
    body = "".join(f"<tr>{''.join(map(_cell, ['td'] * len(row), row, align))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(tag: str, text: str, side: str) -> str:
    return f'<{tag} style="text-align: {side}; white-space: nowrap">{escape(text)}</{tag}>'
