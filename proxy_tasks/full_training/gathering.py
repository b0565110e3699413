"""Words between the processes of a training: what the first one found, whether one wants to stop, what all detected."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist

from foundation import InputError
from proxy_tasks.training.processes import Processes

T = TypeVar("T")


class OthersEndedError(RuntimeError):
    """Another process of the training has ended, or has said itself why it cannot go on."""


@contextmanager
def lost_others() -> Iterator[None]:
    """Turn what torch raises where another process has ended into `OthersEndedError`."""
    try:
        yield
    except dist.DistBackendError as error:
        raise OthersEndedError(str(error)) from None
    except RuntimeError as error:
        # gloo has no class of its own for it.
        text = str(error).lower()
        if "gloo" in text or "connection" in text or "peer" in text:
            raise OthersEndedError(str(error)) from None
        raise


def first_does(processes: Processes, work: Callable[[], T]) -> T:
    """Have the first process do something, and return its result in all of them.

    Raises:
        InputError: in the first process, as the work raised it.
        OthersEndedError: in the others, where the work raised an error.
    """
    if processes.count == 1:
        return work()

    told: list[T | bool | None] = [False, None]
    if processes.is_first:
        try:
            told = [True, work()]
        except InputError:
            dist.broadcast_object_list(told, src=0)
            raise
    dist.broadcast_object_list(told, src=0)
    if told[0] is not True:
        raise OthersEndedError("the first process cannot go on")
    return told[1]  # type: ignore[return-value]  # what the first process has put there


def any_wants(processes: Processes, wants: bool) -> bool:
    """Return whether any process wants something; a message between processors that no GPU waits for."""
    if processes.count == 1:
        return wants
    flag = torch.tensor([int(wants)])
    return int(processes.sum(flag)) > 0


def gathered(processes: Processes, value: T) -> Sequence[T]:
    """Return the value of each process in the first one, and nothing in the others."""
    if processes.count == 1:
        return [value]
    values: list[T | None] | None = [None] * processes.count if processes.is_first else None
    dist.gather_object(value, values)
    return [] if values is None else [one for one in values if one is not None]
