"""Jobs on a Ray cluster: Ray Tune places them, restarts workers and notices what dies.

Ray takes seconds to import, so that happens when a run starts: a mistake in the options is answered before.
"""

import os
import shutil
import socket
import tempfile
import warnings
from typing import Any

from nas.executors.base import TrialSource
from nas.executors.interrupt import Interrupt
from proxy_tasks import ProxyTask
from search_space import InputError

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

CONNECT_TIMEOUT_S = 5


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
        os.environ.update({name: value for name, value in _ENVIRONMENT.items() if name not in os.environ})
        import ray

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
        import ray

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
        import ray
        from ray import tune

        from nas.executors.tune_parts import Asker, Gate, RaiseInterrupt, Worker

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
        gate = ray.remote(num_cpus=0)(Gate).remote(num_workers)
        trainable = tune.with_parameters(Worker, task=task, gate=gate)
        asker = Asker(source, gate)
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
                callbacks=[RaiseInterrupt(interrupt)],
            )
        asker.raise_error()
