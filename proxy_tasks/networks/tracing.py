"""Tracing: the operators that a network runs, as `torch.export` follows them."""

import warnings

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from foundation import InputError


class _PlainOutputs(nn.Module):
    """A network whose outputs are a tuple of Python's own: a file must not need a class of ours."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, sizes_px: Tensor | None = None) -> tuple[Tensor, ...]:
        return plain_outputs(self.network(images) if sizes_px is None else self.network(images, sizes_px))


def plain_outputs(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return what a network returns as a tuple, also where it is one tensor."""
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def traced(
    network: nn.Module, image_size_px: tuple[int, int], batch_size: int | None, *, reads_sizes: bool = False
) -> ExportedProgram:
    """Return the operators that a network runs on images.

    Args:
        network: maps (B, 3, H, W) images to one tensor or several.
        image_size_px: H and W.
        batch_size: B; None for any number.
        reads_sizes: whether its second input is (B, 2) sizes of the images without their padding.

    Raises:
        InputError: torch cannot follow it, as it may be with a block from outside.
    """
    # Torch takes a batch of one for a number that never changes.
    num_images = 2 if batch_size is None else batch_size
    images = torch.zeros(num_images, 3, *image_size_px)
    sizes_px = torch.tensor([image_size_px] * num_images, dtype=torch.float32)
    inputs = {"images": images, "sizes_px": sizes_px} if reads_sizes else {"images": images}
    shapes = {name: {0: Dim("batch", min=1)} for name in inputs} if batch_size is None else None

    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.export.export(
                _PlainOutputs(network), tuple(inputs.values()), dynamic_shapes=shapes, strict=False
            )
    except Exception as error:
        # Whatever a block from outside raises here, it is that block that cannot be exported.
        reason = next(iter(str(error).strip().splitlines()), "")
        raise InputError(f"torch.export cannot follow this network: {type(error).__name__}: {reason}") from error
