"""What a tracker must offer: a place outside of the run's journal where its results are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from nas.tracking.results import Result


def needs(package: str) -> None:
    """Check that a package is installed.

    Raises:
        ValueError: it is not; the message says how to get it.
    """
    if find_spec(package) is None:
        raise ValueError(f"needs the package {package}: pip install 'spinenet-search[{package}]'")


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """The run whose results are shown.

    Attributes:
        folder: of the run, absolute.
        created_at: seconds since 1970; with the folder it tells the run from one that stood there before.
        config: the whole configuration.
    """

    folder: Path
    created_at: float
    config: Mapping[str, Any]


class TrackerLog(Protocol):
    """One run, open in a tracker."""

    def add(self, result: Result) -> None:
        """Show a result. Every start of a run gives all its results, from the first; what is there is left out."""
        ...

    def close(self) -> None:
        """Wait until everything is where it belongs."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """Shows results of runs. What it shows can be made again from the journal, and is, by the next start.

    Whatever it raises ends the tracking, not the search.
    """

    def open(self, run: TrackedRun) -> TrackerLog:
        """Begin to show a run, or go on with it."""
        ...

    def hint(self, run: Path) -> str:
        """Return the command or the address that shows the run in a folder; empty where there is none."""
        ...
