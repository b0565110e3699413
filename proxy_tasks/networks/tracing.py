"""Tracing: the operators that a network runs, as `torch.export` follows them."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from foundation import InputError
from search_space.scale import MAX_IMAGE_SIZE_PX


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
    network: nn.Module,
    image_size_px: tuple[int, int],
    batch_size: int | None,
    *,
    reads_sizes: bool = False,
    size_step_px: int | None = None,
) -> ExportedProgram:
    """Return the operators that a network runs on images.

    For images of several sizes that takes minutes.

    Args:
        network: maps (B, 3, H, W) images to one tensor or several.
        image_size_px: H and W.
        batch_size: B; None for any number.
        reads_sizes: whether its second input is (B, 2) sizes of the images without their padding.
        size_step_px: where given, H and W are any multiples of it from the second on, and those of `image_size_px` are
            two that differ.

    Raises:
        InputError: torch cannot follow it, as it may be with a block from outside.
    """
    # Torch takes a batch of one for a number that never changes.
    num_images = 2 if batch_size is None else batch_size
    images = torch.zeros(num_images, 3, *image_size_px)
    sizes_px = torch.tensor([image_size_px] * num_images, dtype=torch.float32)
    inputs = {"images": images, "sizes_px": sizes_px} if reads_sizes else {"images": images}
    shapes: dict[str, dict[int, Dim]] = {name: {} for name in inputs}
    if batch_size is None:
        shapes = {name: {0: Dim("batch", min=1)} for name in inputs}
    if size_step_px is not None:
        most = MAX_IMAGE_SIZE_PX // size_step_px
        rows, columns = (Dim(name, min=2, max=most) for name in ("row_steps", "column_steps"))
        shapes["images"] |= {2: size_step_px * rows, 3: size_step_px * columns}

    try:
        with _quiet(), torch.no_grad():
            return torch.export.export(
                _PlainOutputs(network), tuple(inputs.values()), dynamic_shapes=shapes, strict=False
            )
    except Exception as error:
        # Whatever a block from outside raises here, it is that block that cannot be exported.
        reason = next(iter(str(error).strip().splitlines()), "")
        raise InputError(f"torch.export cannot follow this network: {type(error).__name__}: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from printing what it tried on the way to a result, some of it with a traceback."""
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
