"""The one-stage detector that every spec is trained in: class and box towers shared over levels."""

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from proxy_tasks.networks.layers import NORM_EPSILON, NORM_MOMENTUM, activation
from proxy_tasks.networks.spinenet import SpineNet
from search_space import ArchSpec, ModelScale

NUM_ANCHORS_PER_LOCATION = 9
PRIOR_PROBABILITY = 0.01
"""What every class score starts at, so that the many easy negatives do not swamp the first steps (RetinaNet, 4.1)."""


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

    def __init__(self, scale: ModelScale, num_levels: int, num_values: int, bias: float) -> None:
        super().__init__()
        widths = [scale.endpoint_width] + [scale.head_width] * scale.num_head_convs
        convs = [nn.Conv2d(c_in, c_out, 3, padding=1) for c_in, c_out in itertools.pairwise(widths)]
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleList(
            nn.Sequential(*(nn.BatchNorm2d(w, eps=NORM_EPSILON, momentum=NORM_MOMENTUM) for w in widths[1:]))
            for _ in range(num_levels)
        )
        self.act = activation(scale.activation)
        self.predict = nn.Conv2d(widths[-1], NUM_ANCHORS_PER_LOCATION * num_values, 3, padding=1)
        self._num_values = num_values
        for conv in convs:
            nn.init.normal_(conv.weight, std=0.01)
        nn.init.normal_(self.predict.weight, std=1e-5)
        biases = [conv.bias for conv in (*convs, self.predict) if conv.bias is not None]
        for values in biases:
            nn.init.zeros_(values)
        nn.init.constant_(biases[-1], bias)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Return (B, A, num_values) over all anchors of all levels."""
        values = []
        for x, norms in zip(features, self.norms, strict=True):
            for conv, norm in zip(self.convs, norms.children(), strict=True):
                x = self.act(norm(conv(x)))
            values.append(self.predict(x).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, self._num_values)))
        return torch.cat(values, dim=1)


class RetinaNet(nn.Module):
    """A spec at a scale with a RetinaNet head.

    Args:
        spec: the backbone's topology.
        scale: sizes of backbone and head.
        num_classes: K; every class has a sigmoid of its own and there is no background class.

    Source: RetinaNet (arXiv 1708.02002), section 4; tensorflow/tpu heads.py RetinanetHead.
    """

    def __init__(self, spec: ArchSpec, scale: ModelScale, num_classes: int) -> None:
        super().__init__()
        self.backbone = SpineNet(spec, scale)
        num_levels = len(self.backbone.output_levels)
        class_bias = -math.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY)
        self.class_tower = Tower(scale, num_levels, num_classes, class_bias)
        self.box_tower = Tower(scale, num_levels, 4, bias=0.0)

    @property
    def output_levels(self) -> tuple[int, ...]:
        """Levels that anchors stand on, finest first."""
        return self.backbone.output_levels

    def forward(self, images: Tensor) -> RawDetections:
        """Detect in (B, 3, H, W) normalised images."""
        features = self.backbone(images)
        return RawDetections(self.class_tower(features), self.box_tower(features))
