"""Named networks: the published family, the baseline, and any spec, with the head that a task needs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, assert_never, get_args

from torch import nn

from foundation import InputError, nearest_hint
from proxy_tasks.networks.classifier import Classifier
from proxy_tasks.networks.feature_list import FeatureList, levels_at
from proxy_tasks.networks.layers import Reference
from proxy_tasks.networks.mask_rcnn import mask_heads, mask_rcnn
from proxy_tasks.networks.resnet_fpn import ResNet50FPN
from proxy_tasks.networks.retinanet import RetinaNet
from proxy_tasks.networks.spinenet import SpineNet
from search_space import ArchSpec, ModelScale, published_names, published_scale, published_spec

Head: TypeAlias = Literal["retinanet", "mask_rcnn", "classifier", "none"]
BASELINE = "r50-fpn"
"""Name of the ResNet-50-FPN."""
CLASSIFIER_SIZE_PX = 224
"""Size of the images that published classifiers are trained and scored on (SpineNet, section 4.2)."""


def network_names() -> tuple[str, ...]:
    """Return the names that `build_network` knows."""
    return (*published_names(), BASELINE)


def default_scale(name: str, head: Head = "retinanet") -> ModelScale:
    """Return the scale at which a network of that name was published with that head.

    Raises:
        InputError: an unknown name.
    """
    scale = ModelScale() if name == BASELINE else published_scale(_known(name))
    if head == "mask_rcnn" and name == "spinenet-49s":
        return replace(scale, endpoint_width=128)  # as the released code and the published figures have it
    if head == "mask_rcnn" and name == "spinenet-190":
        return replace(scale, image_size_px=1536)
    if head == "classifier":
        return replace(scale, image_size_px=CLASSIFIER_SIZE_PX)
    return scale


def build_network(
    architecture: str | ArchSpec,
    scale: ModelScale | None = None,
    *,
    head: Head = "retinanet",
    num_classes: int = 80,
    reference: Reference = "tpu",
    out_indices: Sequence[int] | None = None,
) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        architecture: a name out of `network_names()`, or any spec.
        scale: how big each part is; None is the published scale of that name, or SpineNet-49's for a spec.
        head: `retinanet` detects boxes, `mask_rcnn` boxes and masks, `classifier` says what the image shows, `none`
            returns the features.
        num_classes: classes of the head, without background.
        reference: code whose network it is, where the released ones differ.
        out_indices: positions of the features to return, 0 being the finest, with `head="none"`. Of a spec only what
            they need is built; the baseline has its whole pyramid.

    Returns:
        `RetinaNet`, torchvision's `MaskRCNN`, `Classifier`, or the backbone: with `out_indices` a `FeatureList`, else
        a network that returns a tuple.

    Raises:
        InputError: an unknown name.
        ValueError: an unknown head, a scale that does not fit, or positions that there are not.
    """
    if head not in get_args(Head):
        raise ValueError(f"head must be one of {', '.join(get_args(Head))}, got {head!r}")
    if scale is None:
        scale = default_scale(architecture, head) if isinstance(architecture, str) else ModelScale()
    if out_indices is not None:
        if head != "none":
            raise ValueError(f'out_indices selects features of a backbone, which head="none" gives; got {head!r}')
        return _feature_list(architecture, scale, reference, out_indices)

    backbone = _backbone(architecture, scale, reference)
    match head:
        case "retinanet":
            return RetinaNet(backbone, scale, num_classes)
        case "mask_rcnn":
            # torchvision counts the background as a class.
            detector: nn.Module = mask_rcnn(backbone, mask_heads(scale), num_classes + 1, scale.image_size_px)
            return detector
        case "classifier":
            return Classifier(backbone, num_classes)
        case "none":
            return backbone
        case _:
            assert_never(head)


def build_detector(
    architecture: str | ArchSpec, scale: ModelScale, num_classes: int, reference: Reference = "tpu"
) -> RetinaNet:
    """Build the detector that the proxy task trains: a network at a scale with a RetinaNet head; see `build_network`.

    Raises:
        InputError: an unknown name.
        ValueError: a scale that does not fit.
    """
    return RetinaNet(_backbone(architecture, scale, reference), scale, num_classes)


def _backbone(architecture: str | ArchSpec, scale: ModelScale, reference: Reference) -> ResNet50FPN | SpineNet:
    if architecture == BASELINE:
        return ResNet50FPN(scale)
    return SpineNet(_spec(architecture), scale, reference)


def _feature_list(
    architecture: str | ArchSpec, scale: ModelScale, reference: Reference, out_indices: Sequence[int]
) -> FeatureList:
    if architecture == BASELINE:
        baseline = ResNet50FPN(scale)
        return FeatureList(baseline, levels_at(baseline.output_levels, out_indices))

    spec = _spec(architecture)
    levels = levels_at(sorted(spec.output_levels), out_indices)
    return FeatureList(SpineNet(spec, scale, reference, levels), levels)


def _spec(architecture: str | ArchSpec) -> ArchSpec:
    return published_spec(_known(architecture)) if isinstance(architecture, str) else architecture


def _known(name: str) -> str:
    if name not in network_names():
        known = network_names()
        raise InputError(f"unknown network {name!r}; known are {', '.join(known)}{nearest_hint(name, known)}")
    return name
