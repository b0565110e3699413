"""Trained networks on disk, between one trial and the next of the same architecture."""

import contextlib
import io
import os
import pickle
from pathlib import Path

import torch
from torch import nn

from proxy_tasks.base import BadDataError


def save_network(network: nn.Module, path: Path, epochs: float) -> None:
    """Write weights and statistics, and how long they were trained.

    The file appears whole or not at all. Where it cannot be written there is none: a trial that would go on from it
    trains anew, and this one has not trained in vain.
    """
    content = io.BytesIO()
    state = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    torch.save({"epochs": epochs, "network": state}, content)
    part = path.with_name(f"{path.name}.part{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content.getbuffer())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def load_network(network: nn.Module, path: Path) -> float:
    """Fill a network from a file of `save_network`; return the epochs it was trained for, 0 where there is no file.

    Nothing in the file is executed.

    Raises:
        BadDataError: the file is damaged or belongs to another network.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(content["network"])
        return float(content["epochs"])
    except FileNotFoundError:
        return 0.0
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, ValueError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadDataError(f"cannot use the weights {path} ({first_line}); delete the file to train anew") from error
