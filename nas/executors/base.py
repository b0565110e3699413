"""The contract of an executor, and the function that turns one job into one outcome."""

import errno
import socket
import traceback
from typing import Protocol, runtime_checkable

from foundation import InputError
from nas.engine.job import AnyJob, BaselineJob, Outcome
from nas.engine.workers import OnWorkers, ignore_workers
from nas.record.trial import Failure, FailureKind
from proxy_tasks import BadDataError, BadSpecError, Evaluation, NonFiniteLossError, Numerics, ProxyTask
from proxy_tasks.base import BaselineTask, StoppableTask
from proxy_tasks.gpu_failures import is_gpu_lost, is_out_of_memory
from search_space import add_kind

_TRACEBACK_CHARS = 4000
_MESSAGE_CHARS = 300


class ClusterLostError(InputError):
    """The cluster, or the GPU, that the jobs run on is gone: nothing further can be run, and nothing asked of it."""


class TrialSource(Protocol):
    """A source gives jobs and takes their outcomes; `nas.engine.loop.Search` is one.

    What an executor of two workers sees of a search of two trials:

        source.start_trial(numerics)    # Job(trial=0, ...), for a worker of this arithmetic
        source.start_trial(numerics)    # Job(trial=1, ...)
        source.start_trial(numerics)    # None: there is no third trial, for now
        source.finish_trial(lost)       # the worker of trial 0 died, and the search runs that trial again
        source.start_trial(numerics)    # Job(trial=0, ...)
        source.finish_trial(outcome)    # of trial 1, then in the same way of trial 0
        source.start_trial(numerics)    # None, and no job is running: the search is over
    """

    def start_trial(self, numerics: Numerics | None = None) -> AnyJob | None:
        """Return the next job for a worker of this arithmetic, or None when there is none to start now.

        After None only an outcome can bring another job: while a job is running there may be one later, and once none
        is, None is final.
        """
        ...

    def finish_trial(self, outcome: Outcome) -> None:
        """Take the outcome of a started job, exactly once; the same trial may be started again afterwards."""
        ...


@runtime_checkable
class Executor(Protocol):
    """An executor runs jobs until the source has none left.

    What the caller sees, where the source has two jobs and the first one diverges:

        executor.run(source, task, print)    # prints the workers as they come up; returns after the last outcome
        # meanwhile the source was called:
        #   start_trial()                                      each time that a worker was free
        #   finish_trial(Outcome(0, Failure("nan", ...)))      the failure of one job ends no other
        #   finish_trial(Outcome(1, Evaluation(...)))          on several workers in any order
        executor.run(source, task, print)    # returns without an outcome: no job is left
    """

    def run(self, source: TrialSource, task: ProxyTask, on_workers: OnWorkers = ignore_workers) -> None:
        """Run every job of the source and hand back every outcome.

        A job that fails is an outcome. An exception from the source itself is a bug and ends the run.

        Raises:
            KeyboardInterrupt: the user stopped it; outcomes so far have been handed back.
            ClusterLostError: what the jobs run on died.
        """
        ...


def run_job(task: ProxyTask, job: AnyJob) -> Outcome:
    """Evaluate one job; whatever goes wrong in it becomes a failure of its kind."""
    numerics = None
    try:
        numerics = task.numerics()
        return Outcome(job.trial, _evaluation(task, job), numerics)
    except Exception as error:
        return Outcome(job.trial, _failure(error, traceback.format_exc()), numerics)


def _evaluation(task: ProxyTask, job: AnyJob) -> Evaluation:
    if isinstance(job, BaselineJob):
        if not isinstance(task, BaselineTask):
            raise TypeError(f"{type(task).__name__} has no baselines, and is asked for {job.name}")
        return task.evaluate_baseline(job.name, fidelity=job.fidelity, seed=job.seed)

    for kind in job.kinds:
        add_kind(kind)
    if not job.loss_limits:
        return task.evaluate(job.candidate, fidelity=job.fidelity, seed=job.seed, weights=job.weights)
    if not isinstance(task, StoppableTask):
        raise TypeError(f"{type(task).__name__} cannot end a training early, and is sent limits of its loss")
    return task.evaluate_within(
        job.candidate, fidelity=job.fidelity, seed=job.seed, loss_limits=job.loss_limits, weights=job.weights
    )


def _failure(error: Exception, trace: str) -> Failure:
    """Return an exception as text: it may hold the whole network, and may not survive the way to another process."""
    kind = failure_kind(error)
    lines = str(error).strip().splitlines()
    message = lines[0] if lines else ""
    if kind == "bad_data":
        # The data of one machine: the message of the error names the file, this the machine.
        text = f"on {socket.gethostname()}: {message}"
    elif kind == "gpu_lost":
        # A GPU that fails again and again must be found.
        text = f"on {socket.gethostname()}: {type(error).__name__}: {message}"[:_MESSAGE_CHARS]
    else:
        text = f"{type(error).__name__}: {message}"[:_MESSAGE_CHARS]
    return Failure(kind, text, trace[-_TRACEBACK_CHARS:])


def failure_kind(error: Exception) -> FailureKind:
    """Return the kind of failure that an exception means."""
    if isinstance(error, NonFiniteLossError):
        return "nan"
    if isinstance(error, BadSpecError):
        return "bad_spec"
    if isinstance(error, BadDataError):
        return "bad_data"

    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return "out_of_memory"
    if is_out_of_memory(error):
        return "out_of_memory"
    return "gpu_lost" if is_gpu_lost(error) else "error"
