"""The names that tensorflow/tpu gives the variables of networks with a SpineNet: RetinaNet and the classifier."""

from collections import Counter
from collections.abc import Iterator

from torch import nn

from proxy_tasks.networks.backbone import Backbone
from proxy_tasks.networks.classifier import Classifier
from proxy_tasks.networks.released.order import LayerGroup, layer_groups
from proxy_tasks.networks.released.variables import Slot, layer_kind, layer_slots
from proxy_tasks.networks.retinanet import RetinaNet, Tower
from proxy_tasks.networks.spinenet import SpineNet
from search_space import ArchSpec
from search_space.kinds import MOBILE
from search_space.spec import NUM_STEM_PARENTS

CLASS_BIAS = "retinanet/class_net/class-predict/bias"
"""Its size is the number of anchors of a location times that of classes."""
_DENSE = "classification_head/dense"
CLASSIFIER_BIAS = f"{_DENSE}/bias"
"""Its size is the number of classes."""


def retinanet_slots(network: RetinaNet, spec: ArchSpec) -> dict[str, Slot]:
    """Return where each variable of a checkpoint goes in a detector of that spec.

    Raises:
        TypeError: the backbone is no SpineNet.

    Source: tensorflow/tpu spinenet.py, spinenet_mbconv.py, nn_blocks.py, nn_ops.py and heads.py; the names and shapes
        of a released checkpoint, which is of blocks of the ResNet family.
    """
    slots = dict(backbone_slots(network.backbone, spec))
    for name, tower in (("class", network.class_tower), ("box", network.box_tower)):
        slots |= _tower_slots(name, tower, network.output_levels)
    return slots


def classifier_slots(network: Classifier, spec: ArchSpec) -> dict[str, Slot]:
    """Return where each variable of a checkpoint goes in a classifier of that spec.

    Raises:
        TypeError: the backbone is no SpineNet.

    Source: tensorflow/tpu heads.py ClassificationHead.
    """
    layer = {f"{_DENSE}/{variable}": slot for variable, slot in layer_slots(network.predict).items()}
    return dict(backbone_slots(network.backbone, spec)) | layer


def is_of_training(name: str) -> bool:
    """Return whether a variable is of the training alone: its step, or the momentum of another variable."""
    return name == "global_step" or name.endswith("/Momentum")


def backbone_slots(backbone: Backbone, spec: ArchSpec) -> Iterator[tuple[str, Slot]]:
    """Yield the variables of a backbone: TensorFlow counts the layers of each kind within each scope.

    Raises:
        TypeError: it is no SpineNet.
    """
    if not isinstance(backbone, SpineNet):
        raise TypeError(f"expected a SpineNet, got {type(backbone).__name__}")

    num_layers: Counter[str] = Counter()
    is_mobile = spec.family == MOBILE
    for group in layer_groups(backbone, spec, "tpu"):
        scope = _scope(group, is_mobile=is_mobile)
        for layer in group.layers:
            plain = f"{scope}/{layer_kind(layer)}"
            number = num_layers[plain]
            num_layers[plain] += 1

            name = f"{plain}_{number}" if number else plain
            yield from ((f"{name}/{variable}", slot) for variable, slot in layer_slots(layer).items())


def _scope(group: LayerGroup, *, is_mobile: bool) -> str:
    """Return the scope of a group of layers; stem and endpoints share one."""
    network, resampling = ("spinenet_mbconv", "sepconv") if is_mobile else ("spinenet", "alpha")
    policy = group.block - NUM_STEM_PARENTS
    match group.part:
        case "resampling":
            return f"{network}/sub_policy{policy}/resample_with_{resampling}_resample_{policy}_{group.position}"
        case "block":
            return f"{network}/sub_policy{policy}/scale_permuted_block_{group.block}"
        case _:
            return network


def _tower_slots(name: str, tower: Tower, levels: tuple[int, ...]) -> dict[str, Slot]:
    """Return the variables of a head; its convolutions are for all levels, its normalisations for one each."""
    named: dict[str, nn.Module] = {f"{name}-{k}": conv for k, conv in enumerate(tower.shared.convs)}
    for level, norms in zip(levels, tower.shared.norms, strict=True):
        named |= {f"{name}-{k}-{level}": norm for k, norm in enumerate(norms.children())}
    named[f"{name}-predict"] = tower.predict

    return {
        f"retinanet/{name}_net/{layer_name}/{variable}": slot
        for layer_name, layer in named.items()
        for variable, slot in layer_slots(layer).items()
    }
