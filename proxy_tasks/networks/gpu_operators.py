"""Our own operators for GPUs: where they may stand for torch's, and how torch comes to know them.

Each has a name in torch, so that it can be recorded, counted, and run without values on torch's meta device. Its kernel
is imported when it first runs on a GPU: Triton, which compiles it, comes with torch's builds for GPUs alone.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

FLOAT_TYPES = (torch.float32, torch.bfloat16, torch.float16)
"""The types of numbers that our kernels read and write; they compute in float32."""
_NAMESPACE = "spinenet_search"
_SMALLEST = "proxy_tasks.networks.stem_kernels"
"""Module of the kernel that is tried first."""
_LIBRARY = torch.library.Library(_NAMESPACE, "FRAGMENT")  # type: ignore[no-untyped-call]  # torch leaves it so
_IS_ON: ContextVar[bool] = ContextVar("fused operators", default=False)


@contextmanager
def fused_operators() -> Iterator[None]:
    """Have networks and losses use fused operators until the block ends, where these can stand for torch's.

    Each of them takes the processor longer to launch than torch's: they pay where a step is recorded and replayed.
    """
    token = _IS_ON.set(True)
    try:
        yield
    finally:
        _IS_ON.reset(token)


def are_fused(x: Tensor) -> bool:
    """Return whether fused operators are to be used on a tensor, if they know its type and shape."""
    return _IS_ON.get() and has_kernels(x)


def has_kernels(x: Tensor) -> bool:
    """Return whether our operators run where a tensor is; on the meta device they compute nothing, as all do there."""
    return x.is_meta or (x.is_cuda and _runs_kernels(x.device))


@cache
def _runs_kernels(device: torch.device) -> bool:
    """Return whether Triton can compile a kernel on this machine, and run it on that GPU; say why not."""
    if find_spec("triton") is None:
        return False
    try:
        with torch.cuda.device(device):
            import_module(_SMALLEST).fold_pixels(torch.zeros(1, 3, 2, 2, device=device), 0, 0, torch.float32)
    except Exception as error:  # no compiler, a folder that cannot be written, an old GPU: torch's operators do
        warnings.warn(f"training on {device} is slower than it could be, as Triton does not run: {error}", stacklevel=2)
        return False
    return True


def add_operator(schema: str, kernel: str, stand_in: Callable[..., Any]) -> Callable[..., Any]:
    """Make an operator known to torch, and return it.

    Args:
        schema: its signature in torch's notation.
        kernel: module and function that launch it, with the same arguments.
        stand_in: returns tensors of the shapes and types of its results, without values.
    """
    name = schema.partition("(")[0]
    module, _, function = kernel.rpartition(".")

    def launch(*arguments: Any) -> Any:  # noqa: ANN401  # as the schema says
        # Triton launches on the current device, wherever the tensors are.
        with torch.cuda.device_of(arguments[0]):  # type: ignore[no-untyped-call]  # torch leaves it so
            return getattr(import_module(module), function)(*arguments)

    _LIBRARY.define(schema)  # type: ignore[no-untyped-call]  # torch leaves it so
    _LIBRARY.impl(name, launch, "CUDA")  # type: ignore[no-untyped-call]  # as above
    torch.library.register_fake(f"{_NAMESPACE}::{name}", stand_in, lib=_LIBRARY)
    operator: Callable[..., Any] = getattr(torch.ops.spinenet_search, name)
    return operator
