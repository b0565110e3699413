"""The one-stage detector that every spec is trained in: class and box towers shared over levels."""

import itertools
import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from proxy_tasks.networks.layers import NORM_EPSILON, NORM_MOMENTUM, Activation, Reference
from proxy_tasks.networks.spinenet import SpineNet
from search_space import ArchSpec, ModelScale

NUM_ANCHORS_PER_LOCATION = 9
PRIOR_PROBABILITY = 0.01
"""What every class score starts at, so that the many easy negatives do not swamp the first steps (RetinaNet, 4.1)."""


class Backbone(Protocol):
    """What a head needs to know of a network that makes features."""

    @property
    def output_levels(self) -> tuple[int, ...]:
        """Levels of the features, finest first."""
        ...

    @property
    def output_channels(self) -> int:
        """Channels of each feature."""
        ...

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return one feature for each level."""
        ...


class RawDetections(NamedTuple):
    """What the network says of every anchor, finest level first.

    Attributes:
        class_logits: (B, A, K).
        box_codes: (B, A, 4), offsets (y, x, height, width) from the anchor.
    """

    class_logits: Tensor
    box_codes: Tensor


class Tower(nn.Module):
    """Convolutions shared over levels, normalisation apart for each level, then one prediction convolution."""

    def __init__(self, c_in: int, scale: ModelScale, num_levels: int, num_values: int, bias: float) -> None:
        super().__init__()
        widths = [c_in] + [scale.head_width] * scale.num_head_convs
        make = _separable if scale.separable_head else _dense
        self.convs = nn.ModuleList(make(a, b, std=0.01) for a, b in itertools.pairwise(widths))
        self.norms = nn.ModuleList(
            nn.Sequential(*(nn.BatchNorm2d(w, eps=NORM_EPSILON, momentum=NORM_MOMENTUM) for w in widths[1:]))
            for _ in range(num_levels)
        )
        self.act = Activation(scale.activation)
        self.predict = make(widths[-1], NUM_ANCHORS_PER_LOCATION * num_values, std=1e-5, bias=bias)
        self._num_values = num_values

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Return (B, A, num_values) over all anchors of all levels."""
        values = []
        for x, norms in zip(features, self.norms, strict=True):
            for conv, norm in zip(self.convs, norms.children(), strict=True):
                x = self.act(norm(conv(x)))
            values.append(self.predict(x).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, self._num_values)))
        return torch.cat(values, dim=1)


class RetinaNet(nn.Module):
    """A backbone with a RetinaNet head.

    Args:
        backbone: makes the features.
        scale: sizes of the head.
        num_classes: K; every class has a sigmoid of its own and there is no background class. The reference counts 91:
            COCO's category numbers, of which some are not in use and 0 is left to the background.

    Source: RetinaNet (arXiv 1708.02002), section 4; tensorflow/tpu heads.py RetinanetHead.
    """

    def __init__(self, backbone: Backbone, scale: ModelScale, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        num_levels = len(backbone.output_levels)
        class_bias = -math.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY)
        self.class_tower = Tower(backbone.output_channels, scale, num_levels, num_classes, class_bias)
        self.box_tower = Tower(backbone.output_channels, scale, num_levels, 4, bias=0.0)

    @property
    def output_levels(self) -> tuple[int, ...]:
        """Levels that anchors stand on, finest first."""
        return self.backbone.output_levels

    def forward(self, images: Tensor) -> RawDetections:
        """Detect in (B, 3, H, W) normalised images."""
        features = self.backbone(images)
        return RawDetections(self.class_tower(features), self.box_tower(features))


def spinenet_detector(spec: ArchSpec, scale: ModelScale, num_classes: int, reference: Reference = "tpu") -> RetinaNet:
    """Return the detector that the proxy task trains: a spec at a scale with a RetinaNet head."""
    return RetinaNet(SpineNet(spec, scale, reference), scale, num_classes)


def _dense(c_in: int, c_out: int, std: float, bias: float = 0.0) -> nn.Module:
    conv = nn.Conv2d(c_in, c_out, 3, padding=1)
    nn.init.normal_(conv.weight, std=std)
    _fill_bias(conv, bias)
    return conv


def _separable(c_in: int, c_out: int, std: float, bias: float = 0.0) -> nn.Module:
    """Return a depthwise 3x3 convolution and then a 1x1; the reference draws both as Glorot, whatever `std`."""
    depthwise = nn.Conv2d(c_in, c_in, 3, padding=1, groups=c_in, bias=False)
    pointwise = nn.Conv2d(c_in, c_out, 1)
    for conv in (depthwise, pointwise):
        nn.init.xavier_uniform_(conv.weight)
    _fill_bias(pointwise, bias)
    return nn.Sequential(depthwise, pointwise)


def _fill_bias(conv: nn.Conv2d, value: float) -> None:
    if conv.bias is not None:
        nn.init.constant_(conv.bias, value)
