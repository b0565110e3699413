"""The console that commands print on."""

from typing import Literal, TypeAlias

from rich.console import Console

Verbosity: TypeAlias = Literal["quiet", "normal", "verbose"]
"""The amount that a command prints: what goes wrong, the usual, or all that it knows."""


def make_console(*, quiet: bool = False, stderr: bool = False) -> Console:
    """Return a console on standard output; wide enough for a table where it is not a terminal.

    Args:
        quiet: show nothing.
        stderr: write to standard error, as progress beside a result that other programs read.
    """
    # No markup: names of folders and messages of errors may hold brackets.
    console = Console(highlight=False, markup=False, quiet=quiet, stderr=stderr)
    if console.is_terminal:
        return console
    return Console(highlight=False, markup=False, width=200, soft_wrap=True, quiet=quiet, stderr=stderr)
