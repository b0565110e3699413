"""A backbone as torchvision's detectors take it, and the pool of regions that goes with it."""

from collections import OrderedDict

from torch import Tensor, nn
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import LevelMapper

from proxy_tasks.networks.backbone import Backbone


class TorchvisionBackbone(nn.Module):
    """A backbone for torchvision's `RetinaNet`, `FCOS`, `FasterRCNN` and `MaskRCNN`: features by name, finest first.

    The names are "0", "1" and so on, as those of torchvision's own pyramids: the pool that Faster and Mask R-CNN make
    by themselves reads "0" to "3", and passes over in silence what it does not find. Of features that are named by
    their levels, "3" to "7", it would read level 3 alone.

    Args:
        backbone: makes the features.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.levels = backbone.output_levels
        self.out_channels = backbone.output_channels

    @property
    def names(self) -> list[str]:
        """Names of the features, finest first."""
        return [str(number) for number in range(len(self.levels))]

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Return (B, out_channels, H / 2**l, W / 2**l) features of (B, 3, H, W) normalised images."""
        return OrderedDict(zip(self.names, self.backbone(images), strict=True))


REGION_SAMPLES = 2
"""Samples along each side of a cell that a region is pooled to, as torchvision takes them."""


def roi_pool(backbone: TorchvisionBackbone, size_px: int) -> MultiScaleRoIAlign:
    """Return a pool that reads each region from the level that goes with its size, out of all levels.

    Left to itself torchvision's pool guesses strides from the first images that it is given, for good: those of level 7
    are wrong after one image of 90 px.

    Args:
        backbone: makes the features.
        size_px: side of what a region is pooled to; torchvision has 7 for boxes and 14 for masks.

    Raises:
        ValueError: a level between two others is missing; regions of its size would be read nowhere.

    Source: Feature Pyramid Networks (arXiv 1612.03144), equation 1.
    """
    first, last = backbone.levels[0], backbone.levels[-1]
    if backbone.levels != tuple(range(first, last + 1)):
        raise ValueError(f"levels must follow one another, got {', '.join(map(str, backbone.levels))}")

    pool = MultiScaleRoIAlign(backbone.names, size_px, sampling_ratio=REGION_SAMPLES)
    pool.scales = [2.0**-level for level in backbone.levels]
    pool.map_levels = LevelMapper(first, last, pool.canonical_scale, pool.canonical_level)
    return pool
