"""Reading ahead: the batches of the next steps are read in a thread while one is in use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_NUM_AHEAD = 3
"""Batches that are read ahead of the one in use."""

T = TypeVar("T")
Loaded = TypeVar("Loaded", bound=tuple[Any, ...])


def read_ahead(
    load: Callable[[NDArray[np.int64]], Loaded], steps: Iterable[NDArray[np.int64]], device: torch.device
) -> Iterator[Loaded]:
    """Yield what `load` returns for each step, read ahead in a thread.

    On CUDA batches are copied on a stream of their own, so that neither copy nor network waits for the other.

    Args:
        load: reads the images of some rows, (B,), and puts the tensors of what it returns on the device.
        steps: rows of each batch's images, (B,).
        device: the network's.
    """
    if device.type != "cuda":
        yield from _ahead(load, steps)
        return

    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it so

    def load_on_stream(rows: NDArray[np.int64]) -> tuple[Loaded, torch.cuda.Event]:
        with torch.cuda.stream(stream):
            return load(rows), stream.record_event()

    for loaded, copied in _ahead(load_on_stream, steps):
        current = torch.cuda.current_stream(device)
        current.wait_event(copied)

        # Else the memory could be used again while the network still reads it.
        for value in loaded:
            if isinstance(value, Tensor):
                value.record_stream(current)
        yield loaded


def _ahead(make: Callable[[NDArray[np.int64]], T], steps: Iterable[NDArray[np.int64]]) -> Iterator[T]:
    """Yield `make(step)` of each step in order, made in another thread some steps before it is asked for."""
    rest = iter(steps)
    with ThreadPoolExecutor(1, "loader") as thread:
        pending: deque[Future[T]] = deque(thread.submit(make, step) for step in islice(rest, _NUM_AHEAD))
        try:
            while pending:
                made = pending.popleft().result()
                # Each batch that is taken makes way for one more, until no steps are left.
                pending.extend(thread.submit(make, step) for step in islice(rest, 1))
                yield made
        finally:
            for future in pending:
                future.cancel()


def to_device(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """Return an array as a tensor on a device, copied behind the back of this thread where that is a GPU."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
