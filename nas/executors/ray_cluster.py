"""The Ray executor: jobs run at the same time on every node of a Ray cluster, or on this machine.

Ray takes a second to import, so that happens when a run starts: a mistake in the options is answered before.
"""

import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from foundation import InputError, check_range
from nas.engine.workers import OnWorkers, ignore_workers
from nas.executors.base import TrialSource
from nas.executors.capacity import WorkerSlots
from nas.executors.interrupt import Interrupt
from nas.executors.shared_ray import shared_ray
from nas.executors.worker_path import worker_environment
from proxy_tasks import ProxyTask

_LISTENS_EVERYWHERE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Variable that Ray reads when it is imported, named after the systems on which Ray's servers listen on loopback by
default. Without it they listen on all interfaces, whatever address a node is given."""
CONNECT_TIMEOUT_S = 5
"""Longest time that the head of a cluster may take to answer."""


class RayExecutor:
    """Run jobs at the same time on every node of a Ray cluster, or on this machine.

    Args:
        address: head of a running cluster, `auto` to find it; None starts Ray on this machine and stops it at the end.
        cpus_per_trial: cores for each trial; torch uses as many threads.
        gpus_per_trial: GPUs for each trial, a fraction or a whole number; None gives one where the cluster has any.
            Trials that share one take turns on it, unless MPS is on; then a line says so.
        max_concurrent: most trials at a time; None for as many as the cluster holds, as it grows and shrinks. On a
            running cluster that many workers are requested even where it has no free slots yet, so that an autoscaler
            adds nodes.
        timeout_s: a trial that takes longer is ended; None for no limit.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(
        self,
        address: str | None = None,
        cpus_per_trial: int = 1,
        gpus_per_trial: float | None = None,
        max_concurrent: int | None = None,
        timeout_s: float | None = None,
    ) -> None:
        for name, value, low, high, reason in (
            ("cpus_per_trial", cpus_per_trial, 1, 65_536, "no machine has more"),
            ("max_concurrent", max_concurrent, 1, 10_000, "a growing cluster is asked for all of them at once"),
            ("gpus_per_trial", gpus_per_trial or None, 1e-4, 1024, "Ray counts in 1/10,000 of a GPU; or 0 for none"),
            ("timeout_s", timeout_s, 1e-3, 1e9, "a thousand million seconds are 30 years"),
        ):
            if value is not None:
                check_range(name, value, low, high, reason)

        # Ray takes a fraction from a single GPU, and above one only whole GPUs.
        if gpus_per_trial is not None and gpus_per_trial > 1 and gpus_per_trial % 1:
            raise ValueError(f"gpus_per_trial must be 0 to 1, or a whole number above, got {gpus_per_trial}")

        self._address = address
        self._cpus_per_trial = cpus_per_trial
        self._gpus_per_trial = gpus_per_trial
        self._max_concurrent = max_concurrent
        self.timeout_s = timeout_s

    def run(self, source: TrialSource, task: ProxyTask, on_workers: OnWorkers = ignore_workers) -> None:
        """Run every job of the source; see `Executor.run`."""
        _set_environment(is_own=self._address is None)
        from nas.executors.worker_pool import WorkerPool

        # Interrupts are held back: one that came while Ray starts would leave half a cluster behind.
        with Interrupt() as interrupt, self._cluster() as check:
            interrupt.listen()  # Ray has a handler of its own
            with WorkerPool(source, task, self._slots(), self.timeout_s, on_workers) as pool:
                while pool.step():
                    interrupt.raise_if_asked()
                    check()

    @contextmanager
    def _cluster(self) -> Iterator[Callable[[], None]]:
        """Be connected to the cluster; yields a function that raises `ClusterLostError` once the cluster is gone."""
        shared = shared_ray()
        if shared is None:
            with self._own_cluster() as check:
                yield check
        else:
            yield shared.check_of(self._address, self._own_cluster)

    @contextmanager
    def _own_cluster(self) -> Iterator[Callable[[], None]]:
        """Be connected to the cluster for as long as this is entered; see `_cluster`."""
        import ray

        from nas.executors.cluster_watch import ClusterWatch
        from nas.executors.own_ray import OwnRay

        if ray.is_initialized():
            yield lambda: None
        elif self._address is None:
            with OwnRay() as own:
                yield own.check
        else:
            try:
                self._connect(self._address)
                with ClusterWatch():
                    yield lambda: None
            finally:
                ray.shutdown()

    def _connect(self, address: str) -> None:
        import ray

        from nas.executors.own_ray import QUIET

        try:
            # Ray itself would wait for minutes for a head that is not there.
            if address != "auto":
                host, _, port = address.rpartition(":")
                socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()
            ray.init(address=address, **QUIET, **worker_environment())
        except (ray.exceptions.RayError, OSError, ValueError, OverflowError, RuntimeError) as error:
            # A RuntimeError is what Ray makes of another version of Python or Ray.
            raise InputError(
                f"no Ray cluster at executor.address={address} ({error}); pass host:port of its head, or auto, "
                "with RAY_AUTH_MODE and the token as they are there"
            ) from None

    def _slots(self) -> WorkerSlots:
        """Return what each worker takes of the cluster and how many there may be.

        Raises:
            InputError: no node of the cluster holds one, and none is waited for.
        """
        from nas.executors.worker_pool import nodes_of_cluster

        nodes = [node for node in nodes_of_cluster() if node.is_alive]
        gpus = self._gpus_per_trial
        if gpus is None:
            gpus = float(any(node.num_gpus >= 1 for node in nodes))

        # Only somebody else's cluster can be given more nodes.
        may_grow = self._address is not None and self._max_concurrent is not None
        slots = WorkerSlots(self._cpus_per_trial, gpus, self._max_concurrent, may_grow)

        if slots.num_workers(nodes) == 0:
            largest = max(nodes, key=lambda node: (node.num_gpus, node.num_cpus))
            raise InputError(
                f"a trial asks for {self._cpus_per_trial} CPUs and {gpus:g} GPUs, the largest node of the cluster has "
                f"{largest.num_cpus} and {largest.num_gpus:g}; change executor.cpus_per_trial or "
                "executor.gpus_per_trial, or set executor.max_concurrent to wait for larger nodes"
            )
        return slots


def _set_environment(*, is_own: bool) -> None:
    """Set what Ray reads when it is imported, where the user has not.

    A Ray of our own listens on loopback. The token keeps out the other users of the machine; given here, it is in no
    file.

    Raises:
        InputError: a Ray of our own is asked for, and Ray was imported before, so that it would listen to the network.
    """
    if "ray" in sys.modules:
        if is_own and os.environ.get(_LISTENS_EVERYWHERE, "1").lower() in ("1", "true"):
            _refuse_imported_ray()
        return

    wanted = {"RAY_USAGE_STATS_ENABLED": "0"}
    if is_own:
        wanted[_LISTENS_EVERYWHERE] = "0"
        if "RAY_AUTH_MODE" not in os.environ:
            wanted |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}

    for name, value in wanted.items():
        os.environ.setdefault(name, value)


def _refuse_imported_ray() -> None:
    """Check that a Ray that was imported before is running: then it is used, and none is started.

    Raises:
        InputError: it is not.
    """
    import ray

    if not ray.is_initialized():
        raise InputError(
            "this process imported ray before, so that the Ray of a search would listen on all network interfaces: "
            f"start the search first, or set {_LISTENS_EVERYWHERE}=0 before ray is imported, or call ray.init() "
            "yourself, or take executor=local, which does without Ray"
        )
