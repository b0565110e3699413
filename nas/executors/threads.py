"""The threads of a process that trains: as many as its share of the machine, and none that spins while it waits."""

import os


def wait_without_spinning() -> None:
    """Have threads of torch sleep while they wait for each other; heard only before torch is loaded.

    By default they spin, in the hope that the wait is short. Where more of them want to run than there are cores, those
    that spin take the time of those that are waited for. What the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def use_threads(num_threads: int) -> None:
    """Have torch use this many threads; heard only before torch is loaded."""
    os.environ["OMP_NUM_THREADS"] = str(num_threads)
