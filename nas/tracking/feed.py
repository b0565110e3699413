"""The feed of trackers: they get results while a run goes on, and one that is slow or fails holds nothing up."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self

from nas.tracking.base import TrackedRun, Tracker
from nas.tracking.results import Result

WAIT_AT_END_S = 60.0
"""Longest time that the end of a run waits for its trackers."""
SAY_AFTER_S = 2.0
"""Time that it waits before it says so."""


class Tracking:
    """Shows a run in several trackers, from its first result on; each has a thread of its own.

    Args:
        trackers: the trackers by name.
        run: the run that is shown.
        read: returns the results that have come since the last time. Those on record are handed over at once, and
            later ones when `update` is called.
        say: called with a line that may be left out.
        warn: called with a line where a tracker fails.
    """

    def __init__(
        self,
        trackers: Mapping[str, Tracker],
        run: TrackedRun,
        read: Callable[[], list[Result]],
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self._read = read
        self._say = say
        self._warn = warn
        self._feeds = [_Feed(name, tracker, run, warn) for name, tracker in trackers.items()]

    def __enter__(self) -> Self:
        for feed in self._feeds:
            feed.start()
        self.update()
        return self

    def update(self) -> None:
        """Hand over what has come since the last time."""
        for result in self._read():
            for feed in self._feeds:
                feed.results.put(result)

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        for feed in self._feeds:
            feed.results.put(None)

        with suppress(KeyboardInterrupt):  # the run itself is over
            self._wait()

        for feed in self._feeds:
            if feed.is_alive():
                feed.is_given_up = True
                self._warn(f"{feed.name} did not take all results; the next start hands them over")

    def _wait(self) -> None:
        give_up = time.monotonic() + WAIT_AT_END_S
        for feed in self._feeds:
            feed.join(SAY_AFTER_S)
            if feed.is_alive():
                self._say(f"handing the last results to {feed.name}; Ctrl-C leaves them to the next start")
                feed.join(max(0.0, give_up - time.monotonic()))


class _Feed(Thread):
    """A thread that opens a tracker and gives it results until None comes."""

    def __init__(self, name: str, tracker: Tracker, run: TrackedRun, warn: Callable[[str], None]) -> None:
        # Not waited for when the process ends: a server may not answer for minutes.
        super().__init__(name=name, daemon=True)
        self.results: SimpleQueue[Result | None] = SimpleQueue()
        self.is_given_up = False
        self._tracker = tracker
        self._run = run
        self._warn = warn

    def run(self) -> None:
        try:
            log = self._tracker.open(self._run)
        except Exception as error:
            self._fail(error)
            return

        try:
            for result in iter(self.results.get, None):
                log.add(result)
            log.close()
        except Exception as error:
            self._fail(error)
            with suppress(Exception):  # the first error is told; this only lets go of what is open
                log.close()

    def _fail(self, error: Exception) -> None:
        if self.is_given_up:
            return
        lines = str(error).strip().splitlines()
        text = lines[0] if lines else ""
        self._warn(
            f"no more is shown in {self.name} ({type(error).__name__}: {text}); the {self._run.kind} goes on, and its "
            "next start hands over what is missing"
        )
