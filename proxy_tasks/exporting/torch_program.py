"""PyTorch programs: a network as `torch.export` writes it, which torch runs without the classes that made it."""

import io
import json
import warnings

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from foundation import InputError
from proxy_tasks.exporting.subject import Subject

ABOUT = "about.json"
"""Name, within the file, of what it says of its network."""


class _PlainOutputs(nn.Module):
    """A network whose outputs are a tuple of Python's own: a file must not need a class of ours."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(images))


def traced(network: nn.Module, subject: Subject, *, dynamic_batch: bool) -> ExportedProgram:
    """Return the operators that a network runs on images of the subject's size.

    Raises:
        InputError: torch cannot follow it, as it may be with a block from outside.
    """
    # Torch takes a batch of one for a number that never changes.
    images = torch.zeros(2 if dynamic_batch else 1, 3, subject.image_size_px, subject.image_size_px)
    shapes = {"images": {0: Dim("batch", min=1)}} if dynamic_batch else None
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.export.export(_PlainOutputs(network), (images,), dynamic_shapes=shapes, strict=False)
    except Exception as error:
        # Whatever a block from outside raises here, it is that block that cannot be exported.
        reason = next(iter(str(error).strip().splitlines()), "")
        raise InputError(f"torch.export cannot follow this network: {type(error).__name__}: {reason}") from error


def program_bytes(subject: Subject, *, dynamic_batch: bool) -> bytes:
    """Return the file of a network, for `torch.export.load`.

    Raises:
        InputError: torch cannot follow it.
    """
    program = traced(subject.network, subject, dynamic_batch=dynamic_batch)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, file, extra_files={ABOUT: json.dumps(subject.about)})
    return file.getvalue()


def run_program(content: bytes, batches: list[Tensor]) -> list[tuple[Tensor, ...]]:
    """Load the file of a network, and return its outputs for each batch of images."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        network = torch.export.load(io.BytesIO(content)).module()
        return [tuple(network(images)) for images in batches]
