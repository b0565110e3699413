"""Trained networks on disk, kept between one trial of an architecture and the next."""

import io
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foundation import write_whole


class UnusableWeightsError(ValueError):
    """A file of weights that a network cannot be filled from; the message names it and says why."""


def save_network(network: nn.Module, path: Path, epochs: float) -> None:
    """Write weights and statistics, and how long they were trained.

    The file appears whole or not at all, and is on disk when this returns. Its folder is part of another one, a run
    folder, and is not followed where it is a link.

    Raises:
        InputError: it cannot be written.
    """
    content = io.BytesIO()
    state = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    torch.save({"epochs": epochs, "network": state}, content)
    write_whole(path, content.getvalue(), inside=path.parent.parent)


def load_network(network: nn.Module, path: Path, max_epochs: float) -> float:
    """Fill a network from a file of `save_network`; return the epochs it was trained for.

    Nothing in the file is executed.

    Raises:
        UnusableWeightsError: the file is not there, is damaged, belongs to another network, or to one of `max_epochs`
            or more; the network stays as it is.
    """
    content = _read(path)
    try:
        epochs, state = float(content["epochs"]), content["network"]
        shapes = {name: tensor.shape for name, tensor in state.items()}
    except (LookupError, TypeError, ValueError, AttributeError):
        raise _unusable(path, "holds no network") from None

    # Compared first: torch fills what fits before it says that something does not.
    if shapes != {name: tensor.shape for name, tensor in network.state_dict().items()}:
        raise _unusable(path, "holds another network")
    if not 0 < epochs < max_epochs:
        raise _unusable(path, f"was trained for {epochs:g} epochs, needed are less than {max_epochs:g}")
    network.load_state_dict(state)
    return epochs


def _read(path: Path) -> Any:  # noqa: ANN401  # whatever torch finds in the file
    """Return what a file of torch holds.

    Raises:
        UnusableWeightsError: it cannot be read, or is not what was written.
    """
    try:
        content = io.BytesIO(path.read_bytes())
    except FileNotFoundError:
        raise _unusable(path, "is not there") from None
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from None

    # Torch itself takes weights that are zeros since a power cut: it does not compare checksums.
    try:
        with zipfile.ZipFile(content) as archive:
            is_whole = archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError):
        is_whole = False
    if not is_whole:
        raise _unusable(path, "is damaged")

    # What torch says of a file that would run code is how to let it.
    content.seek(0)
    try:
        return torch.load(content, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, LookupError, TypeError, ValueError, AttributeError):
        raise _unusable(path, "holds something other than weights") from None


def _unusable(path: Path, reason: str) -> UnusableWeightsError:
    return UnusableWeightsError(f"{path} {reason}")
