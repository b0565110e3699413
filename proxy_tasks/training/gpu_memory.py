"""The memory of a GPU that a training took, named where it was too much."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_GIB = 2**30
_ASKED = re.compile(r"Tried to allocate ([\d.]+ \w+)")


@contextmanager
def peak_named(device: torch.device, to_lower: str) -> Iterator[None]:
    """Have a lack of the GPU's memory say what was taken at most, and what to do; nothing happens on a processor.

    Args:
        device: the network's.
        to_lower: the options that memory depends on, as words.

    Raises:
        torch.OutOfMemoryError: the GPU has too little memory for what runs within the block.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        yield
    except torch.OutOfMemoryError as error:
        if device.type != "cuda":
            raise
        raise torch.OutOfMemoryError(_lack_on(device, str(error), to_lower)) from error


def _lack_on(device: torch.device, message: str, to_lower: str) -> str:
    """Return the line on a lack of memory that has just been raised with a message of torch's."""
    free, total = torch.cuda.mem_get_info(device)
    asked = _ASKED.search(message)
    return lack_line(
        torch.cuda.get_device_name(device),
        peak=torch.cuda.max_memory_allocated(device),
        others=max(total - free - torch.cuda.memory_reserved(device), 0),
        total=total,
        asked=asked[1] if asked else None,
        to_lower=to_lower,
    )


def lack_line(name: str, *, peak: int, others: int, total: int, asked: str | None, to_lower: str) -> str:
    """Return a line on a GPU with too little memory.

    Args:
        name: the GPU's.
        peak: bytes that the training took at most.
        others: bytes that other processes, and CUDA itself, have.
        total: bytes that the GPU has.
        asked: amount that could not be had, in torch's words; None where they are not known.
        to_lower: the options that memory depends on, as words.
    """
    more = "" if asked is None else f" and asked for {asked} more"
    return (
        f"out of memory on {name}: the training took up to {peak / _GIB:.2f} GiB{more}, {others / _GIB:.2f} of "
        f"{total / _GIB:.2f} GiB are not its own; lower {to_lower}"
    )
