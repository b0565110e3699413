"""The layout of help: prose, examples and explained names, broken to fit the width of a terminal."""

import re
import shutil
import textwrap
from collections.abc import Sequence
from functools import partial

_NOT_A_TERMINAL = (120, 24)
_MIN_WIDTH = 40
_MIN_TEXT_WIDTH = 30
"""Columns beside a name below which its explanation begins on the next line."""

# Names of options and files are copied from help: they stay whole.
_wrap = partial(textwrap.wrap, break_long_words=False, break_on_hyphens=False)


def terminal_width() -> int:
    """Return the columns of the terminal, or of `COLUMNS`; 120 where there is neither."""
    return max(shutil.get_terminal_size(_NOT_A_TERMINAL).columns, _MIN_WIDTH)


def filled(text: str, width: int) -> list[str]:
    """Return a text as lines: paragraphs are filled again, indented lines are examples that stay lines of their own."""
    lines: list[str] = []
    for paragraph in text.strip("\n").split("\n\n"):
        if lines:
            lines.append("")
        if not paragraph.startswith(" "):
            lines += _wrap(" ".join(paragraph.split()), width)
            continue
        for line in paragraph.splitlines():
            lines += _example(line, width)
    return lines


def explained(name: str, text: str, width: int, column: int) -> list[str]:
    """Return a name with its explanation beside it, from a column on; below it where the name leaves no space."""
    column = min(column, width // 2)
    indent = " " * column
    head = f"{name:<{column - 1}} "

    if len(head) > column and width - len(head) < _MIN_TEXT_WIDTH:
        return [name, *_wrap(text, width, initial_indent=indent, subsequent_indent=indent)]
    return _wrap(text, width, initial_indent=head, subsequent_indent=indent) or [name]


def listed(text: str, width: int) -> list[str]:
    """Return a text that belongs to the name above it."""
    return _wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 8)


def _example(line: str, width: int) -> list[str]:
    """Return a command, and what is said of it; broken so that a shell takes all of its lines together."""
    if len(line) <= width:
        return [line]

    # As `  python -m nas.search experiment=quickstart      minutes, on data it draws itself`.
    command, _, remark = line.strip().partition("   ")
    indent = " " * (len(line) - len(line.lstrip()))
    lines = _joined(re.findall(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""", command), indent, width)
    return lines + _wrap(remark.strip(), width, initial_indent=indent + " " * 6, subsequent_indent=indent + " " * 6)


def _joined(words: Sequence[str], indent: str, width: int) -> list[str]:
    """Return the words of a command on as many lines as they take, with a backslash behind all but the last."""
    lines = [indent + words[0]]
    for word in words[1:]:
        longer = f"{lines[-1]} {word}"
        if len(longer) + len(" \\") <= width:
            lines[-1] = longer
        else:
            lines[-1] += " \\"
            lines.append(f"{indent}    {word}")
    return lines
