"""The contract of a tracker: a place outside of the run's journal where its results are shown."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from nas.tracking.results import Result


def check_installed(package: str) -> None:
    """Check that a package is installed.

    Raises:
        ValueError: it is not; the message says how to get it.
    """
    found = find_spec(package)
    # A folder of that name in the current one, as wandb makes, is found too, but has no origin.
    if found is None or found.origin is None:
        raise ValueError(f"needs the package {package}: pip install 'spinenet-search[{package}]'")


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """The run whose results are shown.

    Attributes:
        folder: the run folder, an absolute path.
        created_at: seconds since 1970.
        config: the whole configuration, as it was when the run began.
        num_trials: number of trials that it is to have, by now; a training has none.
        kind: what it is.
        say: called with a line that a person may want to read.
    """

    folder: Path
    created_at: float
    config: Mapping[str, Any]
    num_trials: int = 0
    kind: Literal["search", "training"] = "search"
    say: Callable[[str], None] = field(default=lambda line: None, compare=False)

    @property
    def identity(self) -> str:
        """Text that tells this run from every other, even from one that stood in its folder before; copies share it."""
        content = json.dumps([self.created_at, self.config], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


class TrackerLog(Protocol):
    """One run, open in a tracker; see `Tracker`."""

    def add(self, result: Result) -> None:
        """Show a result. Every start of a run gives all its results again; those that are shown already are skipped."""
        ...

    def close(self) -> None:
        """Wait until all results have arrived."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """A tracker shows results of searches and trainings.

    What it shows can be made again from the journal, and is, by the next start.

    Whatever it raises ends the tracking, not the run.

    What the caller sees, with two results on record and a search that is resumed:

        log = tracker.open(run)    # the run appears, without a result
        log.add(first)             # a point on each curve of the search, and the trial with its own figures
        log.close()                # the search was stopped; the first result is shown for good
        log = tracker.open(run)    # its next start: the same run again, not a second one
        log.add(first)             # nothing changes, as that result is there
        log.add(second)            # the next point
    """

    def open(self, run: TrackedRun) -> TrackerLog:
        """Begin to show a run, or resume it."""
        ...

    def hint(self, run: Path) -> str:
        """Return the command or the address that shows the run in a folder; empty where there is none."""
        ...
