"""The Ray that several runs share: connected to once an address, checked by each run, and ended with the last."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from nas.executors.base import ClusterLostError
from nas.executors.shared_ray import Check, one_ray, shared_ray


def cluster(events: list[str], name: str) -> Callable[[], AbstractContextManager[Check]]:
    """Return what connects to a cluster that notes what happens to it, and is lost once the notes say so."""

    @contextmanager
    def connected() -> Iterator[Check]:
        def check() -> None:
            if f"{name} lost" in events:
                raise ClusterLostError(f"{name} died")

        events.append(f"{name} up")
        try:
            yield check
        except ClusterLostError:
            events.append(f"{name} let go")
            raise
        events.append(f"{name} down")

    return connected


def test_without_it_each_run_has_a_ray_of_its_own() -> None:
    assert shared_ray() is None
    with one_ray():
        assert shared_ray() is not None
    assert shared_ray() is None


def test_runs_of_one_address_share_a_cluster_and_another_address_ends_it_first() -> None:
    events: list[str] = []
    with one_ray():
        shared = shared_ray()
        assert shared is not None
        for address in (None, None, "head:1", "head:1", None):
            shared.check_of(address, cluster(events, address or "own"))()
        events.append("last run")
    assert events == [
        *("own up", "own down"),
        *("head:1 up", "head:1 down"),
        *("own up", "last run", "own down"),
    ]


def test_a_cluster_that_died_between_two_runs_ends_them_and_hears_why() -> None:
    events: list[str] = []

    def two_runs() -> None:
        shared = shared_ray()
        assert shared is not None
        shared.check_of(None, cluster(events, "own"))
        events.append("own lost")
        shared.check_of(None, cluster(events, "own"))

    with pytest.raises(ClusterLostError, match="own died"), one_ray():
        two_runs()
    assert events == ["own up", "own lost", "own let go"]
