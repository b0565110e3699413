"""What an executor must offer, and how one job becomes one outcome."""

import traceback
from typing import Protocol, runtime_checkable

from nas.loop import Job, Outcome
from nas.trial import Failure, FailureKind
from proxy_tasks import NonFiniteLossError, ProxyTask

_TRACEBACK_CHARS = 4000
_MESSAGE_CHARS = 300


class TrialSource(Protocol):
    """Where jobs come from and outcomes go; `nas.loop.Search` is one."""

    def start_trial(self) -> Job | None:
        """Return the next job, or None when there is none left to start."""
        ...

    def finish_trial(self, outcome: Outcome) -> None:
        """Take the outcome of a started job; each exactly once."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Runs jobs until the source has none left."""

    def run(self, source: TrialSource, task: ProxyTask) -> None:
        """Run every job of the source and hand back every outcome.

        A job that fails is an outcome. An exception from the source itself is a bug and ends the run.

        Raises:
            KeyboardInterrupt: the user stopped it; outcomes so far have been handed back.
        """
        ...


def run_job(task: ProxyTask, job: Job) -> Outcome:
    """Evaluate one job; whatever goes wrong in it becomes a failure of its kind."""
    try:
        return Outcome(job.trial, task.evaluate(job.spec, fidelity=job.fidelity, seed=job.seed))
    except Exception as error:
        # Text only: an exception may hold the whole network, and may not survive the way to another process.
        message = (str(error).strip().splitlines() or [""])[0]
        where = traceback.format_exc()[-_TRACEBACK_CHARS:]
        line = f"{type(error).__name__}: {message}"[:_MESSAGE_CHARS]
        return Outcome(job.trial, Failure(failure_kind(error), line, where))


def failure_kind(error: Exception) -> FailureKind:
    """Return the kind of failure that an exception means."""
    if isinstance(error, NonFiniteLossError):
        return "nan"
    # torch's own class is a RuntimeError on the GPU; on the CPU its allocator raises a plain one.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out_of_memory"
    if isinstance(error, RuntimeError) and "you tried to allocate" in str(error):
        return "out_of_memory"
    return "error"
