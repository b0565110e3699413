"""Joining the processes of a training, as torchrun, Slurm or nas.train has started them."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]  # torch leaves them out

from foundation import InputError
from proxy_tasks.runtime import pick_device
from proxy_tasks.training.processes import ALONE, Processes

_TIMEOUT = timedelta(hours=1)
"""Longest wait for another process; a process that dies is noticed at once."""
_JOIN_WITHIN = timedelta(minutes=10)
"""Longest wait for all processes to come up; on many machines they read their packages from one disk."""
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one process among those of a training.

    Attributes:
        rank: its number among all.
        count: number of all.
        on_machine: its number among those of its machine, which is the number of its GPU.
        address: host and port at which they meet.
    """

    rank: int
    count: int
    on_machine: int
    address: str


def place_of(environment: Mapping[str, str]) -> Place | None:
    """Return the place that torchrun, Slurm or nas.train gave a process; None for one that is alone.

    Raises:
        InputError: part of it is missing, or no number.
    """
    try:
        if "RANK" in environment and "WORLD_SIZE" in environment:
            rank, count = int(environment["RANK"]), int(environment["WORLD_SIZE"])
            address = f"{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}"
            return Place(rank, count, int(environment.get("LOCAL_RANK", "0")), address)

        if int(environment.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in environment:
            host = environment.get("MASTER_ADDR") or first_host(environment["SLURM_STEP_NODELIST"])
            port = environment.get("MASTER_PORT") or str(20_000 + int(environment["SLURM_JOB_ID"]) % 20_000)
            rank, count = int(environment["SLURM_PROCID"]), int(environment["SLURM_NTASKS"])
            return Place(rank, count, int(environment["SLURM_LOCALID"]), f"{host}:{port}")
    except KeyError as error:
        raise InputError(f"the environment says that several processes train, but not {error.args[0]}") from None
    except ValueError as error:
        raise InputError(f"the environment has no usable place of this process: {error}") from None
    return None


def first_host(nodes: str) -> str:
    """Return the first host of Slurm's list, as `node03` of `node[03-05,9],other1`."""
    found = re.match(r"([^\[,]+)(?:\[(\d+))?", nodes)
    if found is None:
        raise ValueError(f"no host in SLURM_STEP_NODELIST={nodes}")
    return found[1] + (found[2] or "")


def device_of(name: str, place: Place | None) -> str:
    """Return the device of a process: of several on a machine with GPUs, each has its own.

    Raises:
        InputError: no such device on this machine.
    """
    device = pick_device(name)
    if place is None or device.type == "cpu":
        return str(device)
    # Slurm may show each process its own GPU alone, which then has the number 0.
    index = place.on_machine if torch.cuda.device_count() > 1 else 0
    return str(pick_device(f"cuda:{index}"))


def num_devices(name: str) -> int:
    """Return how many processes a machine has devices for: one for each GPU, or one where there are none.

    Raises:
        InputError: no such device on this machine.
    """
    device = pick_device(name)
    return torch.cuda.device_count() if device.type == "cuda" and device.index is None else 1


@contextmanager
def joined(place: Place | None, device: str, within: timedelta = _JOIN_WITHIN) -> Iterator[Processes]:
    """Join the other processes until the block ends.

    Raises:
        InputError: the others cannot be reached, or have not all come within the time given.
    """
    if place is None:
        yield ALONE
        return

    # Numbers of GPUs go by NCCL, words between processors by gloo.
    backend = "gloo"
    if device.startswith("cuda"):
        torch.cuda.set_device(torch.device(device))
        backend = "cpu:gloo,cuda:nccl"
    store = _met(place, within)
    try:
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.count, timeout=_TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise _cannot_join(place, str(error).splitlines()[0]) from None
    try:
        yield Processes(place.rank, place.count)
    finally:
        dist.destroy_process_group()


def _met(place: Place, within: timedelta) -> Store:
    """Return the store by which processes find each other, once all of them have come.

    Raises:
        InputError: they have not in time.
    """
    until_s = time.monotonic() + within.total_seconds()
    host, _, port = place.address.rpartition(":")
    try:
        # The agent of torchrun keeps a store at this address, else the first process does.
        is_kept_by_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == str(True)
        kept = TCPStore(
            host,
            int(port),
            is_master=place.rank == 0 and not is_kept_by_agent,
            timeout=within,
            wait_for_workers=False,
        )
        # The agent's store outlives processes that it starts again: they are not to meet those before them.
        store = PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), kept)
        store.set(_came(place.rank), "")
        missing = [rank for rank in range(place.count) if not _has_come(store, rank, until_s)]
    except (RuntimeError, ValueError) as error:
        raise _cannot_join(place, str(error).splitlines()[0]) from None

    if missing:
        raise _cannot_join(
            place, f"of the others {len(missing)} have not come within {within}, process {missing[0]} among them"
        )
    return PrefixStore("group", store)


def _has_come(store: Store, rank: int, until_s: float) -> bool:
    while not store.check([_came(rank)]):
        if time.monotonic() > until_s:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def _came(rank: int) -> str:
    return f"came {rank}"


def _cannot_join(place: Place, reason: str) -> InputError:
    return InputError(f"process {place.rank} of {place.count} cannot join the others at {place.address}: {reason}")
