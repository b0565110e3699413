"""The supply of jobs: what a pool of workers takes from its source, and what it can expect of it next."""

from enum import Enum
from typing import Literal, TypeAlias

from nas.engine.job import AnyJob, Outcome
from nas.executors.base import TrialSource
from proxy_tasks import Numerics

_Event: TypeAlias = Literal["given", "none", "held", "outcome"]


class Supply(Enum):
    """The chances that a source has another job."""

    UNASKED = "no worker has asked so far"
    PLENTY = "the last answer was a job"
    DRY = "the last answer was None; only an outcome can change that"
    NEAR_END = "an outcome came after it was dry: it may have that trial to run again, hardly more"


class JobSupply:
    """The jobs of one source, as a pool of workers takes them.

    The protocol between pool and source:

    - A worker asks when it is free, never earlier, so that every proposal rests on all results there are.
    - A worker that is given None ends. The source is dry then, and no worker is started until an outcome comes back.
    - After that outcome the source may have a trial or two to run again, so that one worker at a time is started to
      ask. If it is given a job, there is plenty again.
    - When no job is running, the pool itself asks: None is final then, and no worker is started in vain. A job is held
      for the next worker that is free.

    What the pool of a single worker sees, where the only trial of the search is to be run again:

        supply.next_job()         # a job; PLENTY, a worker for each free slot
        supply.finish(failure)    # the worker is replaced, and nothing is running
        supply.has_more()         # True: the job is held until the new worker is up
        supply.next_job()         # that job
        supply.finish(outcome)
        supply.next_job()         # None; DRY, the worker ends
        supply.has_more()         # False: the search is over

    Args:
        source: gives jobs and takes outcomes.
    """

    def __init__(self, source: TrialSource) -> None:
        self._source = source
        self._state = Supply.UNASKED
        self._held: AnyJob | None = None
        self._last_numerics: Numerics | None = None

    @property
    def state(self) -> Supply:
        """The chances that the source has another job now."""
        return self._state

    def next_job(self, numerics: Numerics | None = None) -> AnyJob | None:
        """Return the job for a worker of this arithmetic that is free, or None where there is none to start now."""
        self._last_numerics = numerics
        job = self._source.start_trial(numerics) if self._held is None else self._held
        self._held = None
        self._move("none" if job is None else "given")
        return job

    def has_more(self) -> bool:
        """Return whether there may be another job; called only while none is running."""
        if self._state is Supply.UNASKED or self._held is not None:
            return True

        # No worker asks, so it is asked for one like the last.
        self._held = self._source.start_trial(self._last_numerics)
        if self._held is None:
            return False
        self._move("held")
        return True

    def finish(self, outcome: Outcome) -> None:
        """Hand an outcome to the source."""
        self._move("outcome")
        self._source.finish_trial(outcome)

    def _move(self, event: _Event) -> None:
        """Change the state: a worker was given a job or none, a job is held for one, or an outcome came back."""
        match event:
            case "given":
                self._state = Supply.PLENTY
            case "none":
                self._state = Supply.DRY
            case "held" | "outcome" if self._state is Supply.DRY:
                self._state = Supply.NEAR_END
            case _:
                pass  # as much as before can be expected
