"""Anchors for torchvision's detectors, with the reference's centres and exact sides."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from proxy_tasks.networks.anchor_grid import ASPECT_RATIOS, anchor_grid


class LevelAnchors(AnchorGenerator):  # type: ignore[misc]  # torchvision gives its classes no types
    """Anchors on the features of a backbone, as many at every position of every level.

    torchvision's own generator rounds sides to whole pixels, puts centres on the corners of cells, half a stride off,
    and divides the image's size by the feature's for a stride: 114 px on level 7 of an image of 800. Here the stride
    is that of the level.

    Args:
        levels: of the features, in their order; level l has stride `2**l` px.
        sides: of the square anchors, in strides of their level. Mask R-CNN has one, RetinaNet three octaves, FCOS 1.
        aspect_ratios: width over height; the area is the square's. The attribute of this name is torchvision's, height
            over width.

    Source: tensorflow/tpu anchor.py.
    """

    def __init__(
        self, levels: Sequence[int], sides: Sequence[float], aspect_ratios: Sequence[float] = ASPECT_RATIOS
    ) -> None:
        sizes = tuple(tuple(side * 2**level for side in sides) for level in levels)
        super().__init__(sizes, (tuple(1 / ratio for ratio in aspect_ratios),) * len(levels))
        self._levels = tuple(levels)
        self._ratios = tuple(aspect_ratios)

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """Return for each image (A, 4) corners in pixels: by level, row, column, side, aspect ratio."""
        device = feature_maps[0].device
        grids = [
            anchor_grid((x.shape[-2], x.shape[-1]), 2**level, sides_px, self._ratios, device)
            for x, level, sides_px in zip(feature_maps, self._levels, self.sizes, strict=True)
        ]
        return [torch.cat(grids)] * len(image_list.image_sizes)
