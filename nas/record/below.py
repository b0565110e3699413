"""Runs below a folder, for a person who named the folder around them."""

from itertools import islice
from pathlib import Path

from foundation import short_path

NUM_SHOWN = 10
"""Most runs that a message names."""
_DEPTHS = ("*", "*/*")
"""Folders that are searched for runs: a folder of data may hold a million files further down."""


def runs_below(folder: Path, file_name: str) -> str:
    """Return the end of a message about a folder that is no run, which names the runs below it; empty where none are.

    Args:
        folder: what was taken for a run.
        file_name: that of a run's journal.
    """
    found = (path.parent for depth in _DEPTHS for path in sorted(folder.glob(f"{depth}/{file_name}")))
    shown = [short_path(path) for path in islice(found, NUM_SHOWN + 1)]
    if not shown:
        return ""
    more = ", ..." if len(shown) > NUM_SHOWN else ""
    return f"; runs below it are {', '.join(shown[:NUM_SHOWN])}{more}"
