"""The names that tensorflow/tpu gives the variables of Mask R-CNN's heads."""

from collections.abc import Iterator
from dataclasses import replace

from torch import nn
from torchvision.models.detection import MaskRCNN

from proxy_tasks.networks.mask_rcnn import BOX_ROI_PX
from proxy_tasks.networks.released.tpu_names import backbone_slots
from proxy_tasks.networks.released.variables import Slot, layer_slots
from search_space import ArchSpec

BOX_CLASS_BIAS = "fast_rcnn_head/class-predict/bias"
"""Its size is the number of classes."""
_CODE_ORDER = (1, 0, 3, 2)
"""Places of torchvision's x, y, width and height of a code among the reference's."""


def mask_rcnn_slots(network: MaskRCNN, spec: ArchSpec) -> dict[str, Slot]:
    """Return where each variable of a checkpoint goes in a Mask R-CNN of that spec.

    Raises:
        TypeError: the backbone is no SpineNet.

    Source: tensorflow/tpu heads.py RpnHead, FastrcnnHead and MaskrcnnHead.
    """
    slots = dict(backbone_slots(network.backbone.backbone, spec))
    for scope, named in (
        ("rpn_head", _proposal_layers(network)),
        ("fast_rcnn_head", _box_layers(network)),
        ("mask_head", _mask_layers(network)),
    ):
        for name, layer in named:
            slots |= {f"{scope}/{name}/{variable}": slot for variable, slot in _slots(name, layer).items()}
    return slots


def _proposal_layers(network: MaskRCNN) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers of the proposal head, whose normalisations are for one level each."""
    head = network.rpn.head
    for k, conv in enumerate(head.shared.convs):
        yield f"rpn-{k}" if k else "rpn", conv
    for level, norms in zip(network.backbone.levels, head.shared.norms, strict=True):
        for k, norm in enumerate(norms.children()):
            yield f"rpn-l{level}-bn" + (f"-{k}" if k else ""), norm
    yield "rpn-class", head.objectness
    yield "rpn-box", head.box


def _box_layers(network: MaskRCNN) -> Iterator[tuple[str, nn.Module]]:
    layers = list(network.roi_heads.box_head.children())
    yield from _numbered((layer for layer in layers if isinstance(layer, nn.Conv2d)), "conv_{}")
    yield from (("fc6", layer) for layer in layers if isinstance(layer, nn.Linear))
    yield from _norms(layers)
    yield "class-predict", network.roi_heads.box_predictor.cls_score
    yield "box-predict", network.roi_heads.box_predictor.bbox_pred


def _mask_layers(network: MaskRCNN) -> Iterator[tuple[str, nn.Module]]:
    layers, last = list(network.roi_heads.mask_head.children()), list(network.roi_heads.mask_predictor.children())
    yield from _numbered((layer for layer in layers if isinstance(layer, nn.Conv2d)), "mask-conv-l{}")
    yield "conv5-mask", last[0]
    yield from _norms([*layers, *last])
    yield "mask_fcn_logits", last[-1]


def _numbered(layers: Iterator[nn.Module], name: str) -> Iterator[tuple[str, nn.Module]]:
    yield from ((name.format(k), layer) for k, layer in enumerate(layers))


def _norms(layers: list[nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    """Yield the normalisations, which have no names: TensorFlow counts them within their scope."""
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d)]
    yield from ((f"batch_normalization_{k}" if k else "batch_normalization", norm) for k, norm in enumerate(norms))


def _slots(name: str, layer: nn.Module) -> dict[str, Slot]:
    """Return the tensors of a layer, with codes and pixels in torchvision's order."""
    slots = layer_slots(layer)
    if name in ("rpn-box", "box-predict"):
        num_rows = len(slots["bias"].tensor)
        rows = tuple(row - row % 4 + _CODE_ORDER[row % 4] for row in range(num_rows))
        return {variable: replace(slot, rows=rows) for variable, slot in slots.items()}

    if name == "fc6":
        # The reference reads rows, columns and channels, torchvision channels, rows and columns.
        num_pixels = BOX_ROI_PX**2
        width = slots["kernel"].tensor.shape[1] // num_pixels
        columns = tuple(pixel * width + channel for channel in range(width) for pixel in range(num_pixels))
        return slots | {"kernel": replace(slots["kernel"], columns=columns)}
    return slots
