"""The weights that a training starts from: those of a trained detector, whose classes may be others."""

from pathlib import Path

from torch import Tensor, nn

from foundation import InputError, short_path
from proxy_tasks.detection.detector_file import DetectorFile

_OF_CLASSES = "class_tower.predict."
"""Tensors that depend on the number of classes."""


def start_from(network: nn.Module, found: DetectorFile, path: Path, class_names: tuple[str, ...]) -> None:
    """Fill a new network from a trained detector; the layer that predicts classes stays new where classes differ.

    Args:
        network: the `RetinaNet` to fill.
        found: the detector; its averaged weights are taken where it names them.
        path: of its file, for messages.
        class_names: of the network's classes.

    Raises:
        InputError: the weights are of another network.
    """
    state = dict(found.states[found.info.weights])
    own: dict[str, Tensor] = network.state_dict()
    if found.info.class_names != class_names:
        for name in [name for name in own if name.startswith(_OF_CLASSES)]:
            state[name] = own[name]

    for name in dict.fromkeys([*own, *state]):
        if name not in state or name not in own or state[name].shape != own[name].shape:
            raise InputError(
                f"weights={short_path(path)} are of another network: {name} differs; leave out spec= and scale= "
                "to take those of the file"
            )
    network.load_state_dict(state)
