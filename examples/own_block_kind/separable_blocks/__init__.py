"""Depthwise separable blocks: a 3x3 convolution of each channel alone, then a 1x1 convolution of all of them."""

from search_space.kinds import RESNET, BlockKind

# The module of the layers is imported where a network is built: search spaces do without torch.
SEPARABLE = BlockKind(
    "separable", RESNET, "s", "octagon", expansion=1, cost=1, unit="separable_blocks.unit.SeparableUnit"
)
