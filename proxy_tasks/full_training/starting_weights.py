"""The weights that a training starts from: those of a trained detector, whose classes may be others."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from foundation import InputError, short_path
from proxy_tasks.detection.detector_file import DetectorFile, DetectorHead

OF_CLASSES = ("class_tower.predict.",)
"""Beginnings of the names of a RetinaNet's tensors that depend on the number of classes."""

_BACKBONE: Mapping[DetectorHead, str] = {"retinanet": "backbone.", "mask_rcnn": "backbone.backbone."}
"""Beginnings of the names of a detector's tensors that are its backbone's."""


def start_from(
    network: nn.Module, found: DetectorFile, path: Path, class_names: tuple[str, ...], of_classes: Sequence[str]
) -> None:
    """Fill a new network from a trained detector; the layers that predict classes stay new where classes differ.

    Args:
        network: the network to fill.
        found: the detector; its averaged weights are taken where it names them.
        path: of its file, for messages.
        class_names: of the network's classes.
        of_classes: beginnings of the names of tensors that depend on the classes.

    Raises:
        InputError: the weights are of another network.
    """
    state = dict(found.states[found.info.weights])
    own: dict[str, Tensor] = network.state_dict()
    if found.info.class_names != class_names:
        for name in [name for name in own if name.startswith(tuple(of_classes))]:
            state[name] = own[name]
    _fill(network, state, path)


def start_backbone_from(backbone: nn.Module, found: DetectorFile, path: Path) -> None:
    """Fill the backbone of a new network from a trained detector, whatever its head.

    Args:
        backbone: the backbone to fill.
        found: the detector; its averaged weights are taken where it names them.
        path: of its file, for messages.

    Raises:
        InputError: its backbone is another one.
    """
    begins = _BACKBONE[found.info.head]
    state = found.states[found.info.weights]
    own = {name.removeprefix(begins): value for name, value in state.items() if name.startswith(begins)}
    _fill(backbone, own, path)


def _fill(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    own: dict[str, Tensor] = network.state_dict()
    for name in dict.fromkeys([*own, *state]):
        if name not in state or name not in own or state[name].shape != own[name].shape:
            raise InputError(
                f"weights={short_path(path)} are of another network: {name} differs; leave out spec= and scale= "
                "to take those of the file"
            )
    network.load_state_dict(state)
