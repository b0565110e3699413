"""Trained networks on disk, kept between one trial of an architecture and the next."""

import contextlib
import io
import pickle
from pathlib import Path

import torch
from torch import nn

from foundation import InputError, write_whole
from proxy_tasks.base import BadDataError


def save_network(network: nn.Module, path: Path, epochs: float) -> None:
    """Write weights and statistics, and how long they were trained.

    The file appears whole or not at all. Where it cannot be written there is none: a trial that would start from it
    trains from the beginning, and this one has not trained in vain.
    """
    content = io.BytesIO()
    state = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    torch.save({"epochs": epochs, "network": state}, content)
    with contextlib.suppress(InputError):
        write_whole(path, content.getvalue())


def load_network(network: nn.Module, path: Path, max_epochs: float) -> float:
    """Fill a network from a file of `save_network`; return the epochs it was trained for.

    Nothing in the file is executed. Where it cannot be read, as on a machine that does not see its folder, the network
    stays as it is, and 0 is returned.

    Raises:
        BadDataError: the file is damaged, belongs to another network, or to one of `max_epochs` or more.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        epochs = float(content["epochs"])
        if not 0 < epochs < max_epochs:
            raise ValueError(f"trained for {epochs:g} epochs, needed are less than {max_epochs:g}")
        network.load_state_dict(content["network"])
        return epochs

    except OSError:
        # Not there: training from scratch is slower, and right.
        return 0.0

    except (EOFError, RuntimeError, pickle.UnpicklingError, LookupError, TypeError, ValueError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadDataError(
            f"cannot use the weights {path} ({first_line}); delete the file to train from scratch"
        ) from error
