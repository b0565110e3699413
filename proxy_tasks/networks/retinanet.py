"""The one-stage detector that every spec is trained in: class and box towers shared over levels."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from proxy_tasks.networks.backbone import Backbone
from proxy_tasks.networks.gpu_operators import are_fused
from proxy_tasks.networks.layers import Activation, batch_norm, conv_and_normalise
from search_space import ModelScale

NUM_ANCHORS_PER_LOCATION = 9
PRIOR_PROBABILITY = 0.01
"""First value of every class score, so that the many easy negatives do not swamp the first steps (RetinaNet, 4.1)."""


class RawDetections(NamedTuple):
    """The network's answer for every anchor, finest level first.

    Attributes:
        class_logits: (B, A, K).
        box_codes: (B, A, 4), offsets (y, x, height, width) from the anchor.
    """

    class_logits: Tensor
    box_codes: Tensor


class SharedConvs(nn.Module):
    """Convolutions that all levels share, each followed by a normalisation apart for each level, and an activation."""

    def __init__(
        self, widths: Sequence[int], num_levels: int, activation: Literal["relu", "silu"], *, separable: bool = False
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv3x3(a, b, separable=separable) for a, b in itertools.pairwise(widths))
        self.norms = nn.ModuleList(nn.Sequential(*map(batch_norm, widths[1:])) for _ in range(num_levels))
        self.act = Activation(activation)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return a feature for each level."""
        out = []
        for x, norms in zip(features, self.norms, strict=True):
            for conv, norm in zip(self.convs, norms.children(), strict=True):
                x = conv_and_normalise(conv, norm, x, self.act)
            out.append(x)
        return out


class Tower(nn.Module):
    """Shared convolutions and one prediction convolution."""

    def __init__(self, c_in: int, scale: ModelScale, num_levels: int, num_values: int, bias: float) -> None:
        super().__init__()
        widths = [c_in] + [scale.head_width] * scale.num_head_convs
        separable = scale.separable_head
        self.shared = SharedConvs(widths, num_levels, scale.activation, separable=separable)
        self.predict = conv3x3(widths[-1], NUM_ANCHORS_PER_LOCATION * num_values, separable=separable)
        self._num_values = num_values

        for conv in self.shared.convs:
            init_conv3x3(conv, std=0.01)
        init_conv3x3(self.predict, std=1e-5, bias=bias)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Return (B, A, num_values) over all anchors of all levels."""
        values = []
        for x in self.shared(features):
            predicted = self.predict(x).permute(0, 2, 3, 1)  # (B, H, W, anchors of a location * num_values)
            values.append(predicted.flatten(1).unflatten(1, (-1, self._num_values)))  # (B, A of the level, num_values)
        return cat_levels(values)


def cat_levels(values: list[Tensor]) -> Tensor:
    """Return (B, A, V) of all levels from (B, A of the level, V) of each.

    On a GPU gradients go back as copies: as views they would be copied later, by operators that read them piece by
    piece.
    """
    if are_fused(values[0]):
        joined: Tensor = _CatLevels.apply(*values)
        return joined
    return torch.cat(values, dim=1)


class _CatLevels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *values: Tensor) -> Tensor:  # noqa: ANN401  # torch has no type for it
        ctx.nums_anchors = [value.shape[1] for value in values]
        return torch.cat(values, dim=1)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401  # as above
        return tuple(part.contiguous() for part in torch.split(upstream, ctx.nums_anchors, dim=1))


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


def conv3x3(c_in: int, c_out: int, *, separable: bool = False) -> nn.Module:
    """Return a 3x3 convolution with a bias; separable: a depthwise 3x3 and then a 1x1."""
    if not separable:
        return nn.Conv2d(c_in, c_out, 3, padding=1)
    return nn.Sequential(nn.Conv2d(c_in, c_in, 3, padding=1, groups=c_in, bias=False), nn.Conv2d(c_in, c_out, 1))


def init_conv3x3(module: nn.Module, *, std: float, bias: float = 0.0) -> None:
    """Draw the weights of a `conv3x3`; the reference draws separable ones after Glorot, whatever `std`."""
    is_separable = isinstance(module, nn.Sequential)
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d):
            if is_separable:
                nn.init.xavier_uniform_(conv.weight)
            else:
                nn.init.normal_(conv.weight, std=std)
            if conv.bias is not None:
                nn.init.constant_(conv.bias, bias)
