"""The threads of a process that trains: as many as its share of the machine, and none that spins for long."""

import os

_SPIN_COUNT = "3000"
"""Looks that a waiting thread takes before it sleeps, in the OpenMP of torch's Linux builds: some ten microseconds."""


def wait_without_long_spinning() -> None:
    """Have threads of torch sleep soon while they wait for each other; heard only before torch is loaded.

    By default they spin for some milliseconds, in the hope that the wait is short. Where more of them want to run than
    there are cores, those that spin take the time of those that are waited for. Threads that never spin take three
    times as long over layers as small as the quickstart's. What the user has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)


def use_threads(num_threads: int) -> None:
    """Have torch use this many threads; heard only before torch is loaded."""
    os.environ["OMP_NUM_THREADS"] = str(num_threads)
