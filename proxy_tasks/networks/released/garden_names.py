"""The names that tensorflow/models gives the variables of a RetinaNet with a SpineNet.

Its checkpoints number layers by their depth in the graph of Keras. The order of creation, which is that of our layers,
is in the names that the variables had in the program: a checkpoint holds them beside its own.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from torch import nn

from foundation import InputError
from proxy_tasks.networks.released.checkpoint import Checkpoint
from proxy_tasks.networks.released.order import layer_groups
from proxy_tasks.networks.released.variables import Slot, layer_kind, layer_slots
from proxy_tasks.networks.released.wire import read_message
from proxy_tasks.networks.retinanet import NUM_ANCHORS_PER_LOCATION, RetinaNet, Tower
from proxy_tasks.networks.spinenet import SpineNet
from search_space import ArchSpec

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""Text that every checkpoint of objects holds, and no other."""
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_AVERAGE = "/.OPTIMIZER_SLOT/optimizer/average"
_OF_TRAINING = ("save_counter", "global_step", "optimizer")
_LAYER = re.compile(r"(?P<model>(?:.*/)?_?)backbone/layer_with_weights-\d+/(?:(?P<part>_[\w/]+)/)?\w+" + _VALUE)
_PARTS = (
    *("_shortcut", "_conv0", "_norm0", "_conv1", "_norm1", "_conv2", "_norm2", "_conv3", "_norm3"),
    *("_squeeze_excitation/_se_reduce", "_squeeze_excitation/_se_expand"),
)
"""The layers of a unit, of those that it has, in the order of their creation."""
_BLOCKS = {"bottleneck": "bottleneck_block", "residual": "residual_block", "mbconv": "inverted_bottleneck_block"}
"""Names of the kinds of blocks in that code."""
_RATIOS = (1, 2, 0)
"""Places of our aspect ratios 1, 2 and 1/2 among the 1/2, 1 and 2 of tensorflow/models."""


class GardenNames:
    """The names of the variables of a checkpoint of tensorflow/models, and where they go.

    Args:
        checkpoint: a checkpoint that has the text `GRAPH`.

    Raises:
        InputError: it is of something else than a detector with a SpineNet, or damaged.

    Source: tensorflow/models spinenet.py, spinenet_mobile.py, nn_blocks.py and dense_prediction_heads.py; checkpoints
        that it wrote.
    """

    def __init__(self, checkpoint: Checkpoint, *, averages: bool = True) -> None:
        self._takes_averages = averages
        self._checkpoint = checkpoint
        self._program_names = _program_names(checkpoint)
        models = {match["model"] for name in self._program_names if (match := _LAYER.fullmatch(name))}
        if len(models) != 1:
            raise InputError(f"{checkpoint.prefix} holds no SpineNet of tensorflow/models, or several")
        self._model = models.pop()

        self.class_bias = f"{self._model}head/_classifier/bias{_VALUE}"
        if self.class_bias not in checkpoint:
            raise InputError(f"{checkpoint.prefix} holds a backbone alone, without the head that finds objects")

    def slots(self, network: RetinaNet, spec: ArchSpec) -> dict[str, Slot]:
        """Return where each variable of the checkpoint goes; averages of the training go before last values.

        Raises:
            InputError: the checkpoint has another number of layers of a kind.
            TypeError: the backbone is no SpineNet.
        """
        if not isinstance(network.backbone, SpineNet):
            raise TypeError(f"expected a SpineNet, got {type(network.backbone).__name__}")

        slots = self._backbone_slots(network.backbone, spec)
        for name, tower, predictor in (
            ("cls", network.class_tower, "_classifier"),
            ("box", network.box_tower, "_box_regressor"),
        ):
            slots |= {f"{self._model}head/{path}{_VALUE}": slot for path, slot in _tower_slots(name, tower, predictor)}
        return {self._averaged(name): slot for name, slot in slots.items()}

    def is_left_out(self, name: str) -> bool:
        """Return whether the network has no need of a variable: it is of the training, or has an average."""
        is_of_training = name.partition("/")[0] in _OF_TRAINING or "/.OPTIMIZER_SLOT/" in name
        return is_of_training or self._averaged(name) != name

    def _averaged(self, name: str) -> str:
        average = f"{name.removesuffix(_VALUE)}{_AVERAGE}{_VALUE}"
        return average if self._takes_averages and average in self._checkpoint else name

    def _backbone_slots(self, backbone: SpineNet, spec: ArchSpec) -> dict[str, Slot]:
        """Return the variables of the backbone: both sides' layers of each kind come in the order of creation."""
        ours: dict[str, list[nn.Module]] = {}
        for group in layer_groups(backbone, spec, "model_garden"):
            for layer in group.layers:
                ours.setdefault(_BLOCKS.get(group.kind) or layer_kind(layer), []).append(layer)

        slots: dict[str, Slot] = {}
        theirs = self._layers()
        for kind in dict.fromkeys([*ours, *theirs]):
            layers, paths = ours.get(kind, []), theirs.get(kind, [])
            if len(layers) != len(paths):
                raise InputError(
                    f"{self._checkpoint.prefix} is of another network: it has {len(paths)} layers of {kind}, "
                    f"needed are {len(layers)}"
                )
            for layer, path in zip(layers, paths, strict=True):
                slots |= {f"{path}/{variable}{_VALUE}": slot for variable, slot in layer_slots(layer).items()}
        return slots

    def _layers(self) -> Mapping[str, list[str]]:
        """Return the paths of the backbone's layers by kind, in the order of creation."""
        found: dict[str, dict[str, tuple[int, int]]] = {}
        for name, program_name in self._program_names.items():
            match = _LAYER.fullmatch(name)
            if match is None:
                continue
            kind, number = _kind_and_number(program_name)
            place = _PARTS.index(match["part"]) if match["part"] in _PARTS else 0
            found.setdefault(kind, {})[name.removesuffix(_VALUE).rpartition("/")[0]] = (number, place)
        return {kind: sorted(paths, key=paths.__getitem__) for kind, paths in found.items()}


def _program_names(checkpoint: Checkpoint) -> dict[str, str]:
    """Return the name that each variable had in the program, by its name in the checkpoint.

    Source: TensorFlow's trackable_object_graph.proto.
    """
    names: dict[str, str] = {}
    try:
        for node in read_message(checkpoint.text(GRAPH)).parts.get(1, []):
            for tensor in map(read_message, read_message(node).parts.get(2, [])):
                names[tensor.part(3).decode()] = tensor.part(2).decode()
    except ValueError:
        raise InputError(f"{checkpoint.prefix}: the graph of its objects is damaged") from None
    return names


def _kind_and_number(program_name: str) -> tuple[str, int]:
    """Return the kind of a layer and how many of its kind were created before: `conv2d_5/kernel` is (conv2d, 5)."""
    layer = program_name.partition("/")[0].removeprefix("sync_")
    kind, _, number = layer.rpartition("_")
    return (kind, int(number)) if number.isdecimal() else (layer, 0)


def _tower_slots(name: str, tower: Tower, predictor: str) -> Iterator[tuple[str, Slot]]:
    """Yield the variables of a head; its convolutions are for all levels, its normalisations for one each."""
    layers: dict[str, nn.Module] = {f"_{name}_convs/{k}": conv for k, conv in enumerate(tower.shared.convs)}
    for level, norms in enumerate(tower.shared.norms):
        layers |= {f"_{name}_norms/{level}/{k}": norm for k, norm in enumerate(norms.children())}
    for path, layer in layers.items():
        yield from ((f"{path}/{variable}", slot) for variable, slot in layer_slots(layer).items())

    # What an anchor is told is predicted for three octaves with three aspect ratios each, which come in another order.
    for variable, slot in layer_slots(tower.predict).items():
        if variable == "depthwise_kernel":
            # It comes before what is predicted.
            yield f"{predictor}/{variable}", slot
            continue
        num_values = slot.tensor.shape[0] // NUM_ANCHORS_PER_LOCATION
        anchors = [3 * octave + ratio for octave in range(3) for ratio in _RATIOS]
        rows = tuple(anchor * num_values + i for anchor in anchors for i in range(num_values))
        yield f"{predictor}/{variable}", replace(slot, rows=rows)
