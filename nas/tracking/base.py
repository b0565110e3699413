"""What a tracker must offer: a place outside of the run's journal where its results are shown."""

import hashlib
import json
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
    # A folder of that name in the current one, as wandb makes, is found too, but has no origin.
    if (spec := find_spec(package)) is None or spec.origin is None:
        raise ValueError(f"needs the package {package}: pip install 'spinenet-search[{package}]'")


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """The run whose results are shown.

    Attributes:
        folder: of the run, absolute.
        created_at: seconds since 1970.
        config: the whole configuration, as it was when the run began.
    """

    folder: Path
    created_at: float
    config: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """What tells the run from all others, those included that stood in its folder before; a copy has the same."""
        content = json.dumps([self.created_at, self.config], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


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
