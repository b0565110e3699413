"""The Ray that a search starts for itself on this machine: its start, the watch over its parts, and its end."""

import os
import select
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ray

from foundation import InputError
from nas.executors.base import ClusterLostError
from nas.executors.ray_folder import RayFolder, pids_of
from nas.executors.worker_path import worker_environment
from nas.options.invocation import how_to_continue
from nas.options.stop_signals import hangup_held_back

NUM_STARTS = 2
"""Most tries to start Ray: a machine that is busy may not start it in time."""
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
_PARTS = {
    "/gcs_server": "GCS",
    "/raylet": "raylet",
    "/dashboard/agent.py": "dashboard agent",
    "ray::DashboardAgent": "dashboard agent",
    "/runtime_env/agent/main.py": "runtime environment agent",
    "ray::RuntimeEnvAgent": "runtime environment agent",
}
"""Parts of Ray without which no search can continue, by how a first word of their commands ends; agents have a title
instead once they are up."""
_NUM_FIRST_WORDS = 4


class OwnRay:
    """Ray on this machine for one search: started when it is entered, and gone with all of its processes at the end.

    Raises:
        InputError: Ray cannot be started.
    """

    def __init__(self) -> None:
        self._parts: dict[int, str] = {}

    def __enter__(self) -> Self:
        self._folder = RayFolder()
        try:
            self._start()
            self._parts = _watched_parts(self._folder.path)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if isinstance(value, ClusterLostError):
            # Without its parts Ray would hold us up for long, so our words come first. It writes to its folder until
            # this process has ended: the next start removes that.
            self._folder.end_processes()
            return
        ray.shutdown()
        self._end()

    def check(self) -> None:
        """Check that every part of Ray is still there; takes no time and asks nothing of Ray.

        Raises:
            ClusterLostError: a part died.
        """
        poll = select.poll()
        for descriptor in self._parts:
            poll.register(descriptor, select.POLLIN)
        died = [self._parts[descriptor] for descriptor, _ in poll.poll(0)]
        if died:
            raise ClusterLostError(f"Ray's {', '.join(died)} died; {how_to_continue()}")

    def _start(self) -> None:
        for num_left in reversed(range(NUM_STARTS)):
            try:
                self._try_to_start()
                return
            except Exception as error:  # of many classes, and some are Exception itself
                ray.shutdown()
                self._folder.end_processes()
                if not num_left:
                    raise InputError(
                        f"Ray cannot be started on this machine ({type(error).__name__}: {error}); if it is busy, try "
                        "again when it is less so; executor=local does without Ray, one trial at a time"
                    ) from None

    def _try_to_start(self) -> None:
        # The processes of this Ray are known by this variable; those that the search starts for others do not get it.
        name, value = self._folder.mark
        os.environ[name] = value
        try:
            # A terminal that closes would otherwise end Ray before the search has let go of it.
            with hangup_held_back():
                ray.init(
                    address="local",
                    include_dashboard=False,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=str(self._folder.path_of_ray),
                    **QUIET,
                    **worker_environment(),
                )
        finally:
            del os.environ[name]

    def _end(self) -> None:
        for descriptor in self._parts:
            os.close(descriptor)
        self._parts = {}
        self._folder.remove()


def _watched_parts(folder: Path) -> dict[int, str]:
    """Return the parts of the Ray of a folder; the keys are descriptors that can be read once a process has ended."""
    parts = {}
    for pid in pids_of(folder):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:_NUM_FIRST_WORDS]
            named = [part for end, part in _PARTS.items() if any(word.strip().endswith(end) for word in words)]
            if named:
                parts[os.pidfd_open(pid)] = named[0]
        except OSError:
            continue  # a worker that has ended meanwhile
    return parts
