"""Files of torch: plain values and tensors, written whole, and read without executing anything."""

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foundation import write_whole


class UnusableWeightsError(ValueError):
    """A file of weights that cannot be used; the message is one line that names it and says why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")


def write_torch_file(path: Path, content: Mapping[str, Any], *, inside: Path | None = None) -> None:
    """Write plain values and tensors, with a checksum of each tensor; see `write_whole`.

    Raises:
        InputError: it cannot be written; what was there before is untouched.
    """
    file = io.BytesIO()
    torch.save(dict(content), file)
    write_whole(path, file.getbuffer(), inside=inside)


def read_torch_file(path: Path) -> Any:  # noqa: ANN401  # whatever torch finds in the file
    """Return what a file of torch holds, its tensors in this processor's memory. Nothing in it is executed.

    Raises:
        UnusableWeightsError: it cannot be read, or is not what was written.
    """
    try:
        content = io.BytesIO(path.read_bytes())
    except FileNotFoundError:
        raise UnusableWeightsError(path, "is not there") from None
    except OSError as error:
        raise UnusableWeightsError(path, f"cannot be read: {error.strerror}") from None

    # Torch itself takes weights that are zeros since a power cut: it does not compare checksums.
    try:
        with zipfile.ZipFile(content) as archive:
            is_whole = archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError):
        is_whole = False
    if not is_whole:
        raise UnusableWeightsError(path, "is damaged")

    # What torch says of a file that would run code is how to let it.
    content.seek(0)
    try:
        return torch.load(content, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, LookupError, TypeError, ValueError, AttributeError):
        raise UnusableWeightsError(path, "holds something other than weights") from None


def state_on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a network's state to write: each tensor by itself, with no memory of others that it may lie in."""
    return {
        name: tensor.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)
        for name, tensor in state.items()
    }


def first_difference(state: Mapping[str, Tensor], network: nn.Module) -> str | None:
    """Return in words the first tensor in which a state is not one of this network; None where it is one."""
    there, needed = ({name: _form(tensor) for name, tensor in s.items()} for s in (state, network.state_dict()))
    for name in (*needed, *there):
        if there.get(name) != needed.get(name):
            return f"{name} is {there.get(name, 'missing')}, the network's is {needed.get(name, 'missing')}"
    return None


def _form(tensor: Tensor) -> str:
    shape = " x ".join(map(str, tensor.shape)) or "one number"
    return shape if tensor.dtype == torch.float32 else f"{shape} of {str(tensor.dtype).removeprefix('torch.')}"
