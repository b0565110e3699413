"""PyTorch programs: a network as `torch.export` writes it, which torch runs without the classes that made it."""

import io
import json
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from proxy_tasks.exporting.subject import Subject
from proxy_tasks.networks.tracing import traced

ABOUT = "about.json"
"""Name, within the file, of what it says of its network."""


def program_bytes(subject: Subject, *, dynamic_batch: bool) -> bytes:
    """Return the file of a network, for `torch.export.load`.

    Raises:
        InputError: torch cannot follow it.
    """
    program = traced(
        subject.network,
        subject.traced_size_px,
        None if dynamic_batch else 1,
        reads_sizes=subject.reads_sizes,
        size_step_px=subject.size_step_px,
    )
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, file, extra_files={ABOUT: json.dumps(subject.about)})
    return file.getvalue()


def run_program(content: bytes, batches: Sequence[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
    """Load the file of a network, and return its outputs for the inputs of each batch."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        network = torch.export.load(io.BytesIO(content)).module()
        return [tuple(network(*inputs)) for inputs in batches]
