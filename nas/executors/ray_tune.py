"""Jobs on a Ray cluster: Ray Tune places them, restarts workers and notices what dies."""

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
import warnings
from typing import Any

# Read by Ray when it is imported. Tune's own snapshots of an experiment are not used: the journal is the record, and
# writing them costs more the more trials there are.
_ENVIRONMENT = {
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_THRESHOLD_S": "1000000000",
    # Start all workers at once, not one after another; how many there are is bounded by max_concurrent_trials.
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402  # after the variables above
from ray import tune  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402

from nas.executors.base import TrialSource, run_job  # noqa: E402
from nas.executors.interrupt import Interrupt  # noqa: E402
from nas.loop import Job, Outcome  # noqa: E402
from nas.trial import Failure  # noqa: E402
from proxy_tasks import ProxyTask  # noqa: E402
from search_space import InputError  # noqa: E402

CONNECT_TIMEOUT_S = 5
GATE_TIMEOUT_S = 60
"""How long the first workers wait for the others; a cluster may have less room than its totals promise."""


class RayTuneExecutor:
    """Run jobs at the same time on every node of a Ray cluster, or on this machine.

    Args:
        address: of a running cluster, `auto` to find it; None starts Ray on this machine and stops it at the end.
        cpus_per_trial: cores for each trial; torch uses as many threads.
        gpus_per_trial: GPUs for each trial, may be a fraction; None gives one where the cluster has any.
        max_concurrent: most trials at a time; None for as many as the cluster holds.

    Raises:
        ValueError: a number below its minimum.
    """

    def __init__(
        self,
        address: str | None = None,
        cpus_per_trial: int = 1,
        gpus_per_trial: float | None = None,
        max_concurrent: int | None = None,
    ) -> None:
        for name, value in (("cpus_per_trial", cpus_per_trial), ("max_concurrent", max_concurrent)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")
        if gpus_per_trial is not None and gpus_per_trial < 0:
            raise ValueError(f"gpus_per_trial must be 0 or more, got {gpus_per_trial}")
        self._address = address
        self._cpus_per_trial = cpus_per_trial
        self._gpus_per_trial = gpus_per_trial
        self._max_concurrent = max_concurrent

    def run(self, source: TrialSource, task: ProxyTask) -> None:
        """Run every job of the source; see `Executor.run`."""
        was_running = ray.is_initialized()
        # Tune insists on a folder of its own for each experiment; nothing in it is needed afterwards.
        scratch = tempfile.mkdtemp(prefix="spinenet-search-")
        with Interrupt() as interrupt:
            try:
                if not was_running:
                    self._connect()
                self._tune(source, task, scratch, interrupt)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
                if not was_running:
                    ray.shutdown()

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self._address is None:
            ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
            return
        try:
            if self._address != "auto":
                # Ray itself would wait for minutes.
                host, _, port = self._address.rpartition(":")
                socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()
            ray.init(address=self._address, **quiet)
        except (ConnectionError, OSError, ValueError, OverflowError) as error:
            raise InputError(
                f"no Ray cluster at executor.address={self._address} ({error}); pass host:port of its head, or auto"
            ) from None

    def _tune(self, source: TrialSource, task: ProxyTask, scratch: str, interrupt: Interrupt) -> None:
        total = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray leaves it so
        num_cpus, num_gpus = int(total.get("CPU", 0)), total.get("GPU", 0.0)
        gpus = float(num_gpus >= 1) if self._gpus_per_trial is None else self._gpus_per_trial
        room = num_cpus // self._cpus_per_trial
        if gpus:
            room = min(room, int(num_gpus / gpus))
        if room < 1:
            raise InputError(
                f"a trial asks for {self._cpus_per_trial} CPUs and {gpus:g} GPUs, the cluster has {num_cpus} and "
                f"{num_gpus:g}; change executor.cpus_per_trial or executor.gpus_per_trial"
            )
        num_workers = min(room, self._max_concurrent or room)
        gate = ray.remote(num_cpus=0)(_Gate).remote(num_workers)
        trainable = tune.with_parameters(_Worker, task=task, gate=gate)
        asker = _Asker(source, gate)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tune.run(
                tune.with_resources(trainable, {"cpu": self._cpus_per_trial, "gpu": gpus}),
                search_alg=asker,
                num_samples=-1,
                max_concurrent_trials=num_workers,
                reuse_actors=True,
                raise_on_failed_trial=False,
                verbose=0,
                storage_path=scratch,
                name="trials",
                callbacks=[_RaiseInterrupt(interrupt)],
            )
        asker.raise_error()


class _RaiseInterrupt(tune.Callback):
    """Lets Ctrl-C end the run between two steps of Tune, some tenths of a second later."""

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt

    def on_step_begin(self, iteration: int, trials: list[Any], **info: object) -> None:
        self._interrupt.raise_if_asked()


class _Gate:
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


class _Worker(tune.Trainable):
    """One process of the cluster; it runs job after job and keeps its data open between them."""

    def setup(self, config: dict[str, Any], task: ProxyTask | None = None, gate: Any = None) -> None:  # noqa: ANN401  # an actor
        if task is None:
            raise TypeError("made without tune.with_parameters")
        self._task = task
        self._job: Job = config["job"]
        ray.get(gate.pass_through.remote())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._job = new_config["job"]
        return True

    def step(self) -> dict[str, Any]:
        return {"outcome": run_job(self._task, self._job), "done": True}


class _Asker(Searcher):
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
        job = self._next_job()
        if job is None:
            self._gate.open.remote()
            finished: Any = Searcher.FINISHED  # a string, which Ray forgets to declare
            return finished  # type: ignore[no-any-return]  # as above
        self._jobs[trial_id] = job
        return {"job": job}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
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
