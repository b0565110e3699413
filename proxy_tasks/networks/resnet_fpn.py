"""ResNet-50 with a feature pyramid at any scale, the baseline that SpineNet is measured against."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from proxy_tasks.networks.blocks import block, output_channels
from proxy_tasks.networks.families import network_family
from proxy_tasks.networks.layers import ConvNorm, LayerStyle
from search_space import ModelScale
from search_space.kinds import RESNET

_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Width at scale 1 and number of bottleneck blocks of the stages that end in levels 2 to 5."""
_NUM_BLOCKS = sum(num_blocks for _, num_blocks in _STAGES)


class ResNet50FPN(nn.Module):
    """ResNet-50 of the blocks that SpineNet is made of, and torchvision's pyramid for levels 3 to 7.

    Level 6 of the pyramid comes from 5, and 7 from 6. Images need not be square nor multiples of anything.

    Args:
        scale: width multiplier, width of the pyramid (`endpoint_width`), activation and stochastic depth apply;
            `block_repeats` and `resample_alpha` do not, as ResNet-50 has its own numbers of blocks and no resampling.

    Source: ResNet (arXiv 1512.03385), with strides on the 3x3 convolutions, as torchvision and the reference have them;
    Feature Pyramid Networks (arXiv 1612.03144); RetinaNet (arXiv 1708.02002), section 4.
    Differs: tensorflow/tpu also normalises each pyramid feature, 2,560 parameters in all at scale 1.
    """

    def __init__(self, scale: ModelScale) -> None:
        super().__init__()
        style = LayerStyle(scale.activation)
        # Truncated as the widths of a spec's blocks are, so that both are as wide at every scale.
        widths = [int(width * scale.width_multiplier) for width, _ in _STAGES]

        c_in = network_family(RESNET).stem_channels(scale)
        self.stem = nn.Sequential(ConvNorm(3, c_in, 7, style, stride=2), nn.MaxPool2d(3, 2, padding=1))
        self.stages = nn.ModuleList()
        num_before = 0
        for width, (_, num_blocks) in zip(widths, _STAGES, strict=True):
            # The pool before the first stage has halved the image already.
            stage = _stage(c_in, width, num_blocks, num_before, scale, style, stride=2 if num_before else 1)
            if num_before:
                self.stages.append(stage)
            else:
                self.stem.append(stage)
            c_in, num_before = output_channels("bottleneck", width), num_before + num_blocks

        channels = [output_channels("bottleneck", width) for width in widths[1:]]
        width = scale.endpoint_width
        self.pyramid = FeaturePyramidNetwork(channels, width, _CoarseLevels(width, width))
        self.output_levels = (3, 4, 5, 6, 7)
        self.output_channels = width

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return one (B, endpoint_width, H / 2**l, W / 2**l) feature for each of `output_levels`."""
        x = self.stem(images)  # (B, C, H / 4, W / 4)
        features = OrderedDict[str, Tensor]()
        for level, stage in zip(self.output_levels, self.stages, strict=False):
            x = stage(x)
            features[str(level)] = x
        return tuple(self.pyramid(features).values())


class _CoarseLevels(LastLevelP6P7):  # type: ignore[misc]  # torchvision gives its classes no types
    """Levels 6 and 7 as torchvision makes them, on CPUs always in float32: see `ConvNorm.forward` for the reason."""

    def forward(self, p: list[Tensor], c: list[Tensor], names: list[str]) -> tuple[list[Tensor], list[str]]:
        """Return the features and their names, with two more of each."""
        made: tuple[list[Tensor], list[str]]
        if p[-1].device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            made = super().forward(p, c, names)
            return made

        # Levels 5 and 6 of a small image are one pixel wide.
        with torch.autocast("cpu", enabled=False):
            made = super().forward([x.float() for x in p], [x.float() for x in c], names)
        return made


def _stage(
    c_in: int, width: int, num_blocks: int, num_before: int, scale: ModelScale, style: LayerStyle, *, stride: int
) -> nn.Sequential:
    """Return the blocks of one stage, of which the first may change the size; `num_before` come before it."""
    blocks = []
    for number in range(num_blocks):
        # As in a spec: of n blocks, block i is skipped by a share i/n of what skips the last.
        skip_rate = scale.stochastic_depth * (num_before + number + 1) / _NUM_BLOCKS
        blocks.append(block("bottleneck", c_in, width, style, stride=stride, skip_rate=skip_rate))
        c_in, stride = output_channels("bottleneck", width), 1
    return nn.Sequential(*blocks)
