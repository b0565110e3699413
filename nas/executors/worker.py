"""A worker: one process of a Ray cluster that loads the task and runs jobs."""

from dataclasses import dataclass

import ray

from nas.engine.job import AnyJob, Outcome
from nas.engine.workers import Gpu
from nas.executors.base import run_job
from nas.executors.gpu import current_gpu
from nas.executors.mps import has_mps
from nas.executors.threads import use_threads, wait_without_long_spinning
from nas.record.trial import Failure
from proxy_tasks import Numerics, ProxyTask


@dataclass(frozen=True, slots=True)
class Loaded:
    """The answer of a worker that has loaded its task.

    Attributes:
        numerics: the arithmetic that its evaluations are computed in.
        has_mps: whether it shares a GPU at the same time as others, and not in turns.
        gpu: the GPU that it uses, if it does.
    """

    numerics: Numerics | None
    has_mps: bool
    gpu: Gpu | None


@dataclass(frozen=True, slots=True)
class Ran:
    """The answer of a worker that has run a job.

    Attributes:
        outcome: the job's.
        gpu: the GPU that it uses, if it does; None after a failure, when asking a GPU might raise another.
    """

    outcome: Outcome
    gpu: Gpu | None


class Worker:
    """One process of the cluster; it runs job after job and keeps its data open between them.

    It starts in two steps: `node_id` comes back once there is a slot and a process in it, which on a cluster that
    grows may take any time; `load`, which imports what the task needs, may not.

    Args:
        num_threads: threads that torch uses: those of its share of the node, whatever the node was started with.
    """

    def __init__(self, num_threads: int) -> None:
        # Before the task comes, which may load torch as it is unpickled.
        use_threads(num_threads)
        wait_without_long_spinning()

        self._task: ProxyTask | None = None
        self._last: tuple[int, Ran | None] = (-1, None)

    def node_id(self) -> str:
        """Return the id of its node; the first call."""
        return str(ray.get_runtime_context().get_node_id())

    def load(self, task: ProxyTask) -> Loaded:
        """Load the task, once, and say what its evaluations are computed in; the second call."""
        if self._task is None:
            task.load()
            self._task = task
        return Loaded(self._task.numerics(), has_mps(), current_gpu())

    def run(self, call: int, job: AnyJob) -> Ran:
        """Run a job; see `run_job`. Calls are numbered.

        Raises:
            RuntimeError: the task was not loaded before.
        """
        if self._task is None:
            raise RuntimeError("a worker loads its task before its first job")
        outcome = run_job(self._task, job)
        ran = Ran(outcome, None if isinstance(outcome.result, Failure) else current_gpu())
        self._last = (call, ran)
        return ran

    def outcome_of(self, call: int) -> Ran | None:
        """Return the last call's reply again, for a driver that was not reached; None if that call never came."""
        return self._last[1] if self._last[0] == call else None
