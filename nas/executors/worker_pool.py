"""The worker pool: processes on a Ray cluster that are started in free slots, given jobs, watched, and replaced.

Built on Ray's actors: Ray places them, and says which process or node died.
"""

import math
import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import ray
from ray._private import state
from ray.exceptions import ActorUnavailableError, NodeDiedError, OutOfMemoryError, RayActorError, RayError

from foundation import InputError
from nas.engine.job import AnyJob, Outcome
from nas.engine.workers import Gpu, OnWorkers, Workers, ignore_workers
from nas.executors.base import ClusterLostError, TrialSource, failure_kind
from nas.executors.capacity import Node, WorkerSlots
from nas.executors.job_supply import JobSupply, Supply
from nas.executors.mps import turns_line
from nas.executors.worker import Ran, Worker
from nas.record.trial import Failure, FailureKind
from proxy_tasks import Numerics, ProxyTask

LOOK_EVERY_S = 1.0
"""Time between looks at how many nodes there are."""
WAIT_S = 0.25
"""Longest wait for a worker in one step; Ctrl-C is heard between steps."""
START_AGAIN_S = 2.0
"""Time before the next start after one that failed."""
MAX_FAILED_STARTS = 3
"""Most workers in a row that may fail to start while none is up; then the run ends."""
START_TIMEOUT_S = 300.0
"""Longest time that a worker may take to load the task; many that import from one slow disk take minutes."""
MAX_SILENCE_S = 60.0
"""Longest time that a worker may be out of reach before it is given up."""
LEAVES_WORKER_SOUND: tuple[FailureKind, ...] = ("nan", "bad_spec")
"""Failures after which a worker is kept; after any other its process may be spoilt, and is replaced."""


def nodes_of_cluster() -> list[Node]:
    """Return the nodes that are or were part of the cluster."""
    return [
        Node(
            id=node["NodeID"],
            name=f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
            is_alive=node["Alive"],
            num_cpus=int(node["Resources"].get("CPU", 0)),
            num_gpus=node["Resources"].get("GPU", 0.0),
        )
        for node in ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it so
    ]


@dataclass(slots=True, eq=False)
class _Member:
    """A worker as the pool sees it: starting until it is up, idle while no reply is awaited.

    It has a node once a process of it is there, and is present once that process has answered.
    """

    actor: Any
    reply: Any
    node_id: str | None = None
    is_present: bool = False
    is_up: bool = False
    numerics: Numerics | None = None
    gpu: Gpu | None = None
    job: AnyJob | None = None
    num_calls: int = 0
    deadline: float = math.inf
    silent_since: float | None = None
    asked_again: float = -math.inf


class WorkerPool:
    """A pool has a worker for each slot, each with one job at a time; its processes end with it.

    `JobSupply` holds the protocol between pool and source, and how many jobs the source may still have. The pool turns
    that into workers: one for each slot while there is plenty, one at a time near the end, none while the source is
    dry. A worker that is given no job ends, and leaves its slot to others on the cluster.

    Args:
        source: gives jobs and takes outcomes.
        task: what workers run; sent to each node once.
        slots: how many workers there may be, and what each takes of its node.
        timeout_s: longest time for a job; None for no limit.
        on_workers: called with the workers that there are, each time that changes.
        start_timeout_s: longest time for loading the task.
    """

    def __init__(
        self,
        source: TrialSource,
        task: ProxyTask,
        slots: WorkerSlots,
        timeout_s: float | None,
        on_workers: OnWorkers = ignore_workers,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._supply = JobSupply(source)
        # By value: a process that asks for an object in Ray's store while its node dies is ended without a word.
        self._task = task
        self._slots = slots
        self._timeout_s = timeout_s
        self._start_timeout_s = start_timeout_s
        self._actor_class: Any = ray.remote(num_cpus=slots.cpus, num_gpus=slots.gpus, max_restarts=0)(Worker)
        self._members: list[_Member] = []
        self._on_workers = on_workers
        self._workers = Workers(num_up=0)
        self._num_failed_starts = 0
        self._has_said_turns = False
        self._next_look = -math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        # Of a cluster that is gone nothing can be asked, not even to end a worker: the call would not return.
        if not isinstance(value, ClusterLostError):
            for member in list(self._members):
                self._end(member)

    def step(self) -> bool:
        """Start workers and jobs, and wait a moment for one of them; return False when all jobs are done.

        Raises:
            InputError: workers cannot be started.
        """
        # Jobs first: the source's answers decide how many workers are started, and whether any is.
        self._start_jobs()
        is_running = any(member.job is not None for member in self._members)
        if not is_running and not self._supply.has_more():
            return False
        self._start_workers()
        self._report_workers()

        awaited = {member.reply: member for member in self._members if member.reply is not None}
        if not awaited:
            # Without a worker there is nothing to wait for but nodes.
            time.sleep(WAIT_S)
            return True

        for reply in _ready_replies(list(awaited)):
            self._take(awaited[reply])
        self._end_overdue()
        return True

    def _report_workers(self) -> None:
        num_up = sum(member.is_up for member in self._members)
        gpus = tuple(member.gpu for member in self._members if member.gpu is not None)
        workers = Workers(num_up, len(self._members) - num_up, gpus=gpus)
        if workers != self._workers:
            self._workers = workers
            self._on_workers(workers)

    def _start_workers(self) -> None:
        """Fill the free slots; Ray is asked for its nodes only now and then, as that takes a moment."""
        if self._supply.state is Supply.DRY or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_EVERY_S
        self._limit_starts()

        num_to_start = self._slots.num_workers(nodes_of_cluster()) - len(self._members)
        if self._supply.state is Supply.NEAR_END:
            # One worker to ask is enough, and it may be there already.
            num_without_job = sum(member.job is None for member in self._members)
            num_to_start = min(num_to_start, 1 - num_without_job)

        for _ in range(num_to_start):
            actor = self._actor_class.remote(self._slots.cpus)
            self._members.append(_Member(actor, actor.node_id.remote()))

    def _limit_starts(self) -> None:
        """Give each worker whose process has come up since, but has not answered, its time limit.

        A worker that waits for a slot has none: on a cluster that grows, or is shared, that may take any time.
        """
        for member in self._members:
            if member.node_id is None:
                member.node_id = _node_of_process(member.actor)
                if member.node_id is not None:
                    member.deadline = time.monotonic() + self._start_timeout_s

    def _start_jobs(self) -> None:
        """Give jobs to idle workers; end a worker that gets none, which frees its slot on the cluster."""
        # Listed first, as ending a worker takes it out of the members.
        idle = [member for member in self._members if member.reply is None]
        for member in idle:
            job = self._supply.next_job(member.numerics)
            if job is None:
                self._end(member)
                continue

            member.job = job
            member.num_calls += 1
            member.reply = member.actor.run.remote(member.num_calls, job)
            member.deadline = math.inf if self._timeout_s is None else time.monotonic() + self._timeout_s

    def _take(self, member: _Member) -> None:
        """Take in what a worker sent: that it is up, an outcome, or that it is lost."""
        reply, member.reply = member.reply, None
        try:
            value = ray.get(reply)
        except RayError as error:
            is_out_of_reach = isinstance(error, ActorUnavailableError)
            if not (is_out_of_reach and self._ask_again(member)):
                self._lose(member, error)
            return
        member.silent_since = None

        if member.job is None:
            self._start_further(member, value)
            return

        # The answer to a question after a silence: the job was lost on its way, and no outcome will come.
        if value is None:
            failure = Failure("worker_lost", f"the job did not arrive {self._where(member)}")
            value = Ran(Outcome(member.job.trial, failure), member.gpu)
        member.gpu = value.gpu or member.gpu

        result = value.outcome.result
        if isinstance(result, Failure) and result.kind not in LEAVES_WORKER_SOUND:
            self._end(member)
        self._finish(member, value.outcome)

    def _start_further(self, member: _Member, value: Any) -> None:  # noqa: ANN401  # what one of two calls returned
        """Take in a reply that holds no outcome: there is a process, which is to load the task, or it has loaded it."""
        if not member.is_present:
            member.node_id, member.is_present = value, True
            member.reply = member.actor.load.remote(self._task)
            member.deadline = time.monotonic() + self._start_timeout_s
            return

        member.is_up, member.numerics, member.gpu, member.deadline = True, value.numerics, value.gpu, math.inf
        self._num_failed_starts = 0

        # Said once: where one node lacks MPS, the others most often do too.
        if 0 < self._slots.gpus < 1 and not value.has_mps and not self._has_said_turns:
            self._has_said_turns = True
            self._on_workers(replace(self._workers, remark=turns_line(self._where(member))))

    def _ask_again(self, member: _Member) -> bool:
        """Ask a worker again that Ray could not reach; return False when it has been out of reach for too long.

        It may be the network, and then what it has trained is still there: the answer comes when its job is done. Or
        its node died, which Ray finds out after some missed heartbeats.
        """
        now = time.monotonic()
        if member.silent_since is None or now - member.asked_again > MAX_SILENCE_S:
            # The first time, or again after a question that was long under way: the worker was there meanwhile.
            member.silent_since = now
        if now - member.silent_since > MAX_SILENCE_S:
            return False

        member.asked_again = now
        if not member.is_present:
            member.reply = member.actor.node_id.remote()
        elif member.job is None:
            member.reply = member.actor.load.remote(self._task)
        else:
            member.reply = member.actor.outcome_of.remote(member.num_calls)
        return True

    def _lose(self, member: _Member, error: RayError) -> None:
        """Give up a worker whose reply will not come."""
        job = member.job
        self._end(member)
        failure = self._loss(member, error)
        if job is not None:
            self._finish(member, Outcome(job.trial, failure))
            return

        is_cluster_to_blame = isinstance(error, OutOfMemoryError | NodeDiedError) or "node has died" in str(error)
        self._note_failed_start(failure, is_cluster_to_blame=is_cluster_to_blame)

    def _end_overdue(self) -> None:
        """End the workers whose jobs, or whose starts, have taken too long."""
        now = time.monotonic()
        overdue = [member for member in self._members if member.deadline < now]
        for member in overdue:
            # A driver that was held up itself may be late to look at what was done in time.
            if ray.wait([member.reply], timeout=0)[0]:
                continue

            self._end(member)
            where = self._where(member)
            if member.job is None:
                what = "load the task" if member.is_present else "come up"
                message = f"took longer than {self._start_timeout_s:g} s to {what} {where}"
                self._note_failed_start(Failure("timeout", message))
            else:
                message = f"took longer than {self._timeout_s:g} s {where}"
                self._finish(member, Outcome(member.job.trial, Failure("timeout", message)))

    def _finish(self, member: _Member, outcome: Outcome) -> None:
        """Hand on the outcome of a worker's job; if the worker has ended, its slot is filled in the next step."""
        member.job, member.deadline = None, math.inf
        if member not in self._members:
            self._next_look = -math.inf
        self._supply.finish(outcome)

    def _end(self, member: _Member) -> None:
        """End a worker's process, if it is not dead already."""
        self._members.remove(member)
        ray.kill(member.actor)

    def _loss(self, member: _Member, error: RayError) -> Failure:
        """Return why a worker's reply will never come."""
        where = self._where(member)
        if isinstance(error, OutOfMemoryError):
            return Failure("out_of_memory", f"Ray ended the worker, as memory was running low {where}")
        if not member.is_present:
            return Failure("worker_lost", f"its process did not come up: {_telling_line(error)}")
        if not isinstance(error, RayActorError | NodeDiedError):
            # Raised in the worker, but not by the job: it may have had no memory left to send the outcome.
            return Failure(failure_kind(error), f"{type(error).__name__} {where}: {_telling_line(error)}")

        # Ray says the same of both: that the actor died.
        if all(node.id != member.node_id for node in nodes_of_cluster() if node.is_alive):
            return Failure("node_lost", f"the node died or left the cluster {where}")
        return Failure("worker_lost", f"the worker's process died {where}")

    def _where(self, member: _Member) -> str:
        names = (node.name for node in nodes_of_cluster() if node.id == member.node_id)
        return f"on {next(names, 'an unknown node')}"

    def _note_failed_start(self, failure: Failure, *, is_cluster_to_blame: bool = False) -> None:
        """Say that a worker did not come up, and wait a little before the next; count it where that may end the run.

        It does not count where another worker is up, and where its node died or had no memory left.

        Raises:
            InputError: too many failed, one after another, while none was up: then it is not one node's fault.
        """
        self._next_look = time.monotonic() + START_AGAIN_S
        self._on_workers(replace(self._workers, failed_start=failure))
        if any(member.is_up for member in self._members):
            # A broken node beside a sound one: it must not be held against the sound one's next worker.
            self._num_failed_starts = 0
        elif not is_cluster_to_blame:
            self._num_failed_starts += 1

        if self._num_failed_starts >= MAX_FAILED_STARTS:
            raise InputError(
                f"no worker can be started on the cluster ({failure.message}); every node needs this package and "
                "its requirements in the same versions"
            )


def _ready_replies(replies: list[Any]) -> list[Any]:
    """Return all replies that are there; where none is, wait a moment for the first.

    All of them, as a step takes time for each worker: taken one by one, those at the end of the list would wait for
    as long as those before them have replies.
    """
    ready, _ = ray.wait(replies, num_returns=len(replies), timeout=0)
    if not ready:
        ready, _ = ray.wait(replies, timeout=WAIT_S)
    return ready


def _node_of_process(actor: Any) -> str | None:  # noqa: ANN401  # Ray's handle
    """Return the id of the node that a worker's process runs on; None while it waits for a slot.

    No public call of Ray tells the two apart: both are pending.
    """
    known = state.actors(actor._actor_id.hex())
    return known["Address"]["NodeID"] if known.get("Pid") else None


def _telling_line(error: BaseException) -> str:
    """Return the line of an error that says most: the last of a remote traceback, else the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[-1] if "Traceback" in str(error) else lines[0]
