"""Flat parameters: an optimizer steps, and gradients are clipped, in one operator where there were hundreds."""

import torch
from torch import nn

_ALIGNMENT = 16
"""Each parameter begins at a multiple of so many values, 64 bytes in float32, as memory of its own would."""


def flatten_groups(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Put the parameters of each group of a new optimizer into one tensor, which the optimizer then steps.

    Every parameter becomes a view of that tensor, and its gradient a view of the gradient, in the layout that it has.
    Gradients therefore add up until they are set to zero, and must never be set to None:
    `optimizer.zero_grad(set_to_none=False)`.

    Returns:
        The flat parameter of each group; their norm is that of all parameters.
    """
    for group in optimizer.param_groups:
        group["params"] = [_flat(group["params"])] if group["params"] else []
    return [flat for group in optimizer.param_groups for flat in group["params"]]


@torch.no_grad()
def _flat(parameters: list[nn.Parameter]) -> nn.Parameter:
    starts, size = [], 0
    for p in parameters:
        starts.append(size)
        size += -(-p.numel() // _ALIGNMENT) * _ALIGNMENT

    # What lies between two parameters stays zero: it has no gradient.
    values = torch.zeros(size, dtype=parameters[0].dtype, device=parameters[0].device)
    flat = nn.Parameter(values)
    flat.grad = torch.zeros_like(values)

    for p, start in zip(parameters, starts, strict=True):
        own = values.as_strided(p.shape, p.stride(), start)
        own.copy_(p)
        p.data = own
        p.grad = flat.grad.as_strided(p.shape, p.stride(), start)
    return flat
