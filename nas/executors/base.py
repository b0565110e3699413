"""What an executor must offer, and how one job becomes one outcome."""

import errno
import re
import socket
import traceback
from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from nas.engine.job import Job, Outcome
from nas.record.trial import Failure, FailureKind
from proxy_tasks import BadDataError, BadSpecError, NonFiniteLossError, ProxyTask

_TRACEBACK_CHARS = 4000
_MESSAGE_CHARS = 300
_NO_MEMORY = re.compile(
    # In this order: torch on a CPU; oneDNN, which says no more; C++; CUDA, cuDNN and cuBLAS.
    "you tried to allocate|could not create a primitive$|bad_alloc|out of memory|_ALLOC_FAILED|Cannot allocate memory"
)


OnWorkers: TypeAlias = Callable[[int], None]
"""Called with how many workers are up, each time that changes."""


def ignore_workers(num_workers: int) -> None:
    """Do nothing."""


class TrialSource(Protocol):
    """Where jobs come from and outcomes go; `nas.engine.loop.Search` is one."""

    def start_trial(self) -> Job | None:
        """Return the next job, or None when there is none to start now.

        While a job is running there may be one later; once none is, None is final.
        """
        ...

    def finish_trial(self, outcome: Outcome) -> None:
        """Take the outcome of a started job, each exactly once; the same trial may be started again afterwards."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Runs jobs until the source has none left."""

    def run(self, source: TrialSource, task: ProxyTask, on_workers: OnWorkers = ignore_workers) -> None:
        """Run every job of the source and hand back every outcome.

        A job that fails is an outcome. An exception from the source itself is a bug and ends the run.

        Raises:
            KeyboardInterrupt: the user stopped it; outcomes so far have been handed back.
        """
        ...


def run_job(task: ProxyTask, job: Job) -> Outcome:
    """Evaluate one job; whatever goes wrong in it becomes a failure of its kind."""
    try:
        evaluation = task.evaluate(job.spec, fidelity=job.fidelity, seed=job.seed, weights=job.weights)
        return Outcome(job.trial, evaluation)
    except Exception as error:
        # Text only: an exception may hold the whole network, and may not survive the way to another process.
        message = (str(error).strip().splitlines() or [""])[0]
        where = traceback.format_exc()[-_TRACEBACK_CHARS:]
        line = f"{type(error).__name__}: {message}"[:_MESSAGE_CHARS]
        kind = failure_kind(error)
        if kind == "bad_data":
            line = f"on {socket.gethostname()}: {message}"
        return Outcome(job.trial, Failure(kind, line, where))


def failure_kind(error: Exception) -> FailureKind:
    """Return the kind of failure that an exception means."""
    if isinstance(error, NonFiniteLossError):
        return "nan"
    if isinstance(error, BadSpecError):
        return "bad_spec"
    if isinstance(error, BadDataError):
        return "bad_data"
    # torch's own class is a RuntimeError; so is what its allocator and the libraries below it raise.
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return "out_of_memory"
    if type(error).__name__ == "OutOfMemoryError":
        return "out_of_memory"
    if isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)):
        return "out_of_memory"
    return "error"
