"""Networks filled from a checkpoint: every variable is used, and every tensor is filled."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import nn

from foundation import InputError
from proxy_tasks.networks.released.checkpoint import Checkpoint
from proxy_tasks.networks.released.variables import Slot

_Network = TypeVar("_Network", bound=nn.Module)


def unfilled(build: Callable[[], _Network]) -> _Network:
    """Return a new network in the processor's memory whose weights and statistics are whatever lies there.

    Fresh weights would be drawn for nothing.
    """
    with torch.device("meta"):
        network = build()
    network.to_empty(device="cpu")

    for name, buffer in network.named_buffers():
        if name.endswith("num_batches_tracked"):
            buffer.zero_()
    return network


def fill_slots(
    slots: Mapping[str, Slot], checkpoint: Checkpoint, network_name: str, is_left_out: Callable[[str], bool]
) -> None:
    """Copy the variables of a checkpoint into a network.

    Args:
        slots: where each variable goes, by its name in the checkpoint.
        checkpoint: the checkpoint.
        network_name: what the network is, for messages.
        is_left_out: returns whether the network has no need of a variable of that name.

    Raises:
        InputError: a variable is missing, damaged, of another shape, or one that the network has no place for.
    """
    missing = [name for name in slots if name not in checkpoint]
    unknown = [name for name in checkpoint if name not in slots and not is_left_out(name)]
    if missing or unknown:
        parts = [f"it lacks {missing[0]}{_and_others(missing)}"] if missing else []
        if unknown:
            subject = "and" if missing else "it"
            parts += [f"{subject} has {unknown[0]}{_and_others(unknown)}, for which {network_name} has no place"]
        raise InputError(f"{checkpoint.prefix} is of another network than {network_name}: {', '.join(parts)}")

    # All shapes first: they are in the index, and the values may be hundreds of megabytes.
    for name, slot in slots.items():
        if checkpoint.shape(name) != slot.shape:
            raise InputError(
                f"{checkpoint.prefix} is of another network than {network_name}: {name} is "
                f"{_times(checkpoint.shape(name))}, that of {network_name} {_times(slot.shape)}"
            )
    for name, slot in slots.items():
        slot.fill(checkpoint[name])


def _and_others(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
