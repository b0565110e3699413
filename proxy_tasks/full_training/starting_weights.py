"""The weights that a training starts from: those of a trained detector, whose classes may be others."""

from pathlib import Path

from torch import Tensor, nn

from foundation import InputError, short_path
from proxy_tasks.detection.detector_file import DetectorFile
from proxy_tasks.full_training.class_rows import with_known_classes

_PREDICTION = "class_tower.predict."
_OF_PIXELS = f"{_PREDICTION}0."
"""The part of a separable prediction that comes before classes."""


def start_from(network: nn.Module, found: DetectorFile, path: Path, class_names: tuple[str, ...]) -> None:
    """Fill a new network from a trained detector; the layer that predicts classes is new for those it does not know.

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
        before = {name: tensor for name, tensor in state.items() if name.startswith(_OF_PIXELS)}
        state |= with_known_classes(own, state, _PREDICTION, class_names, found.info.class_names) | before

    for name in dict.fromkeys([*own, *state]):
        if name not in state or name not in own or state[name].shape != own[name].shape:
            raise InputError(
                f"weights={short_path(path)} are of another network: {name} differs; leave out spec= and scale= "
                "to take those of the file"
            )
    network.load_state_dict(state)
