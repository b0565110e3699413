"""Compiled programs: a network as machine code for this processor, which AOTInductor makes of a PyTorch program."""

import json
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch._inductor import aoti_compile_and_package, aoti_load_package
from torch._inductor.cpp_builder import get_cpp_compiler

from foundation import InputError
from proxy_tasks.exporting.subject import Subject
from proxy_tasks.networks.folding import fold_norms
from proxy_tasks.networks.tracing import traced

ABOUT = "about"
"""Key, among the package's metadata, of what it says of its network."""


def check_compiler(option: str) -> None:
    """Check that this machine can compile programs.

    Args:
        option: what asks for it, for the message.

    Raises:
        InputError: there is no C++ compiler.
    """
    try:
        get_cpp_compiler()
    except Exception as error:
        # Torch has several errors for one cause.
        raise InputError(f"{option} needs a C++ compiler: install g++, or name yours in the variable CXX") from error


def compiled_bytes(subject: Subject, *, dynamic_batch: bool) -> bytes:
    """Return the file of a network, normalisation folded, for `torch._inductor.aoti_load_package`.

    Raises:
        InputError: it cannot be traced or compiled.
    """
    batch_size = None if dynamic_batch else 1
    network = fold_norms(subject.network)
    program = traced(network, subject.traced_size_px, batch_size, reads_sizes=subject.reads_sizes)

    # It warns of GPUs that are not there.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        file = Path(folder) / "network.pt2"
        try:
            aoti_compile_and_package(
                program,
                package_path=str(file),
                inductor_configs={"aot_inductor.metadata": {ABOUT: json.dumps(subject.about)}},
            )
        except Exception as error:
            reason = next(iter(str(error).strip().splitlines()), "")
            raise InputError(f"AOTInductor cannot compile this network: {type(error).__name__}: {reason}") from error
        return file.read_bytes()


def run_compiled(content: bytes, batches: Sequence[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
    """Load the file of a network, and return its outputs for the inputs of each batch.

    Raises:
        InputError: it does not run.
    """
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        file = Path(folder) / "network.pt2"
        file.write_bytes(content)
        try:
            network = aoti_load_package(str(file))
            return [tuple(network(*inputs)) for inputs in batches]
        except RuntimeError as error:
            reason = next(iter(str(error).strip().splitlines()), "")
            raise InputError(f"what AOTInductor compiled does not run: {reason}") from error
