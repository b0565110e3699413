"""One Ray for several runs: the first that needs it starts it, or connects to it, and it ends after the last."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TypeAlias

from nas.executors.interrupt import Interrupt

Check: TypeAlias = Callable[[], None]
"""Raises `ClusterLostError` once a cluster is gone."""


class SharedRay:
    """The Ray that runs share, of one address at a time: a process is connected to one cluster."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._address: str | None = None
        self._check: Check | None = None

    def check_of(self, address: str | None, connect: Callable[[], AbstractContextManager[Check]]) -> Check:
        """Return the check of the cluster at an address, connected to now or by an earlier run.

        Args:
            address: as the executor has it.
            connect: is entered where no earlier run of this address has left its cluster; what another address has
                left is ended first.

        Raises:
            ClusterLostError: the cluster that an earlier run has left is gone.
        """
        if self._check is not None and self._address == address:
            # It may have died between two runs.
            self._check()
            return self._check

        self._stack.close()
        self._check = None
        cluster = connect()
        check = cluster.__enter__()

        def end(kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
            # Half a cluster would be left behind where an interrupt came in between.
            with Interrupt():
                cluster.__exit__(kind, value, tb)

        self._stack.push(end)
        self._address, self._check = address, check
        return check

    def __enter__(self) -> "SharedRay":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.__exit__(kind, value, tb)


_SHARED: ContextVar[SharedRay | None] = ContextVar("_SHARED", default=None)


@contextmanager
def one_ray() -> Iterator[None]:
    """Have all runs meanwhile share one Ray, which is there for as long as this is entered."""
    with SharedRay() as shared:
        token = _SHARED.set(shared)
        try:
            yield
        finally:
            _SHARED.reset(token)


def shared_ray() -> SharedRay | None:
    """Return the Ray that runs share; None where each has its own."""
    return _SHARED.get()
