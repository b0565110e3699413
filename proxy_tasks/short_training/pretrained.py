"""Networks that start from a trained one of another architecture: each tensor that agrees in name and size."""

from pathlib import Path
from typing import TypeGuard, get_args

import torch
from torch import Tensor, nn

from foundation import InputError
from proxy_tasks.networks.head_parts import BACKBONE, OF_CLASSES, TrainedHead
from proxy_tasks.networks.named_networks import Head
from proxy_tasks.networks.trained_file import read_any


def start_from(network: nn.Module, path: Path, head: Head) -> float:
    """Fill a network with what agrees of a trained one; return the share of its numbers that this is, 0 to 1.

    A tensor agrees that has the same name and size. The backbone is taken of any head. Layers that predict classes
    stay new, as classes may be others.

    Args:
        network: the network to fill.
        path: file of the trained one.
        head: of the network to fill.

    Raises:
        InputError: the file cannot be used; the network stays as it is.
    """
    info, state = read_any(path)
    there = info.get("head", "classifier")
    if not (_is_trained(there) and _is_trained(head)):
        raise InputError(f"{path} has a head that this version does not know")

    trained = {_place(name, there): tensor for name, tensor in state.items()}
    num_taken = num_numbers = 0
    with torch.no_grad():
        for name, own in network.state_dict().items():
            found = trained.get(_place(name, head))
            num_numbers += own.numel()
            if found is not None and _agrees(found, own) and not name.startswith(OF_CLASSES[head]):
                own.copy_(found)
                num_taken += own.numel()
    return num_taken / num_numbers


def _is_trained(head: object) -> TypeGuard[TrainedHead]:
    return head in get_args(TrainedHead)


def _place(name: str, head: TrainedHead) -> tuple[str, str]:
    """Return where a tensor is: in the backbone of any head, or in a head of its own."""
    begins = BACKBONE[head]
    return ("backbone", name.removeprefix(begins)) if name.startswith(begins) else (head, name)


def _agrees(found: Tensor, own: Tensor) -> bool:
    return found.shape == own.shape and found.dtype == own.dtype
