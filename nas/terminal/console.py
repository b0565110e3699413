"""The console that commands print on, in a terminal, in a file and in a notebook."""

import os
import sys
from typing import Literal, TypeAlias

from rich.console import Console

Verbosity: TypeAlias = Literal["quiet", "normal", "verbose"]
"""The amount that a command prints: what goes wrong, the usual, or all that it knows."""

_FILE_WIDTH = 200
_NOTEBOOK_WIDTH = 110
"""Characters in a line of a cell's output that are seen without scrolling in a window of the usual width."""


def make_console(*, quiet: bool = False, stderr: bool = False) -> Console:
    """Return a console on standard output; wide enough for a table where it is not a terminal.

    Args:
        quiet: show nothing.
        stderr: write to standard error, as progress beside a result that other programs read.
    """
    in_notebook = is_in_notebook()

    def console(width: int | None) -> Console:
        # No markup: names of folders and messages of errors may hold brackets. And lines of text in a notebook too,
        # where rich would show each as an output of its own.
        return Console(
            highlight=False,
            markup=False,
            quiet=quiet,
            stderr=stderr,
            width=width,
            soft_wrap=width is not None,
            force_terminal=False if in_notebook else None,
            force_jupyter=False,
        )

    of_terminal = console(None)
    if of_terminal.is_terminal:
        return of_terminal
    return console(_NOTEBOOK_WIDTH if in_notebook else _FILE_WIDTH)


def is_in_kernel() -> bool:
    """Return whether this process runs the cells of a notebook, and so can write over what it has shown there."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def is_in_notebook() -> bool:
    """Return whether output goes to a cell of a notebook, from its kernel or from a command that the cell runs.

    A shell cell gives its command a terminal that only writes on: what is drawn over stands there again and again. And
    a kernel sets variables by which rich takes any output for a terminal. Jupyter tells a kernel who started it, and a
    kernel tells Matplotlib where to draw; the commands of its cells inherit both.
    """
    return "JPY_PARENT_PID" in os.environ or "matplotlib_inline" in os.environ.get("MPLBACKEND", "")
