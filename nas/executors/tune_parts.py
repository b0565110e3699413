"""What Ray Tune is given: a worker process, the source of its trials, and two guards around them."""

import asyncio
import contextlib
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from nas.executors.base import TrialSource, run_job
from nas.executors.interrupt import Interrupt
from nas.loop import Job, Outcome
from nas.trial import Failure
from proxy_tasks import ProxyTask

GATE_TIMEOUT_S = 60
"""How long the first workers wait for the others; a cluster may have less room than its totals promise."""


class RaiseInterrupt(tune.Callback):
    """Lets Ctrl-C end the run between two steps of Tune, some tenths of a second later."""

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt

    def on_step_begin(self, iteration: int, trials: list[Any], **info: object) -> None:
        """Raise the interrupt that was noted since the last step, if one was."""
        self._interrupt.raise_if_asked()


class Gate:
    """Holds the first workers back until all have started.

    Tune gives a waiting trial to the worker that is free first and then cancels the process that was starting for that
    trial. When trials are shorter than the start of a process no second worker would ever come up.
    """

    def __init__(self, num_workers: int) -> None:
        self._num_missing = num_workers
        self._all_here = asyncio.Event()

    async def open(self) -> None:
        """Let everybody through: no more workers will come."""
        self._all_here.set()

    async def pass_through(self) -> None:
        """Return when all workers have called, or when the wait has been long enough."""
        self._num_missing -= 1
        if self._num_missing <= 0:
            self._all_here.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_here.wait(), GATE_TIMEOUT_S)
        self._all_here.set()


class Worker(tune.Trainable):
    """One process of the cluster; it runs job after job and keeps its data open between them."""

    def setup(self, config: dict[str, Any], task: ProxyTask | None = None, gate: Any = None) -> None:  # noqa: ANN401  # an actor
        """Take the task and the first job, and wait for the other workers."""
        if task is None:
            raise TypeError("made without tune.with_parameters")
        self._task = task
        self._job: Job = config["job"]
        ray.get(gate.pass_through.remote())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next job; the process stays."""
        self._job = new_config["job"]
        return True

    def step(self) -> dict[str, Any]:
        """Run the job, which is the whole of a trial."""
        return {"outcome": run_job(self._task, self._job), "done": True}


class Asker(Searcher):
    """Lets Tune ask for jobs one at a time and hand back what came of them.

    Tune takes an exception for a failed trial and goes on, but one from the source is a bug or a full disk: it is kept,
    no more jobs are given out, and the executor raises it when Tune returns.
    """

    def __init__(self, source: TrialSource, gate: Any) -> None:  # noqa: ANN401  # an actor
        super().__init__(metric="outcome", mode="max")
        self._source = source
        self._gate = gate
        self._jobs: dict[str, Job] = {}
        self._error: Exception | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the next job as a trial's configuration."""
        job = self._next_job()
        if job is None:
            self._gate.open.remote()
            finished: Any = Searcher.FINISHED  # a string, which Ray forgets to declare
            return finished  # type: ignore[no-any-return]  # as above
        self._jobs[trial_id] = job
        return {"job": job}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Hand back the outcome, or that the worker was lost."""
        job = self._jobs.pop(trial_id, None)
        if job is None or self._error is not None:
            return
        outcome = (result or {}).get("outcome")
        if error or not isinstance(outcome, Outcome) or outcome.trial != job.trial:
            outcome = Outcome(job.trial, Failure("worker_lost", "the worker's process or machine died"))
        try:
            self._source.finish_trial(outcome)
        except Exception as error_of_source:
            self._error = error_of_source

    def raise_error(self) -> None:
        """Raise what the source raised, if it did."""
        if self._error is not None:
            raise self._error

    def _next_job(self) -> Job | None:
        if self._error is not None:
            return None
        try:
            return self._source.start_trial()
        except Exception as error:
            self._error = error
            return None
