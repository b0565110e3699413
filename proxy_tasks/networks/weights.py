"""Trained networks on disk, kept between one trial of an architecture and the next."""

from pathlib import Path

from torch import nn

from proxy_tasks.networks.torch_file import (
    UnusableWeightsError,
    first_difference,
    read_torch_file,
    state_on_cpu,
    write_torch_file,
)


def save_network(network: nn.Module, path: Path, epochs: float) -> None:
    """Write weights and statistics, and how long they were trained.

    The file appears whole or not at all, and is on disk when this returns. Its folder is part of another one, a run
    folder, and is not followed where it is a link.

    Raises:
        InputError: it cannot be written.
    """
    content = {"epochs": epochs, "network": state_on_cpu(network.state_dict())}
    write_torch_file(path, content, inside=path.parent.parent)


def load_network(network: nn.Module, path: Path, max_epochs: float) -> float:
    """Fill a network from a file of `save_network`; return the epochs it was trained for.

    Nothing in the file is executed.

    Raises:
        UnusableWeightsError: the file is not there, is damaged, belongs to another network, or to one of `max_epochs`
            or more; the network stays as it is.
    """
    content = read_torch_file(path)
    try:
        epochs, state = float(content["epochs"]), content["network"]
        # Compared first: torch fills what fits before it says that something does not.
        difference = first_difference(state, network)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise UnusableWeightsError(path, "holds no network") from None

    if difference is not None:
        raise UnusableWeightsError(path, f"holds another network: {difference}")
    if not 0 < epochs < max_epochs:
        raise UnusableWeightsError(path, f"was trained for {epochs:g} epochs, needed are less than {max_epochs:g}")
    network.load_state_dict(state)
    return epochs
