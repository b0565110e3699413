"""The parts of a Mask R-CNN, each called on images that are squares already: features, boxes and masks of regions.

torchvision's own forward pass scales and pads images first, and gives the losses of what one process has sampled.
"""

from typing import TypeAlias

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList

from proxy_tasks.coco.batches import Batch

Features: TypeAlias = dict[str, Tensor]
"""Features by name, finest first, in float32."""


def image_list(batch: Batch) -> ImageList:
    """Return the images of a batch in torchvision's form, each with its size without padding."""
    return ImageList(batch.images, _sizes(batch))


def features_of(network: MaskRCNN, images: Tensor, *, bf16: bool) -> Features:
    """Return the features of (B, 3, S, S) normalised images."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        features = network.backbone(images)
    return {name: _precise(feature) for name, feature in features.items()}


def predicted_boxes(
    network: MaskRCNN, features: Features, regions: list[Tensor], batch: Batch, *, bf16: bool
) -> tuple[Tensor, Tensor]:
    """Return (R, 1 + K) class logits, the background's first, and (R, 4 + 4 K) box codes of the regions of B images."""
    heads = network.roi_heads
    pooled = heads.box_roi_pool(features, regions, _sizes(batch))  # (R, C, 7, 7)
    with torch.autocast(pooled.device.type, torch.bfloat16, enabled=bf16):
        class_logits, box_codes = heads.box_predictor(heads.box_head(pooled))
    return _precise(class_logits), _precise(box_codes)


def predicted_masks(
    network: MaskRCNN, features: Features, regions: list[Tensor], batch: Batch, *, bf16: bool
) -> Tensor:
    """Return (R, 1 + K, 28, 28) logits, one mask for each class, of the regions of B images."""
    heads = network.roi_heads
    pooled = heads.mask_roi_pool(features, regions, _sizes(batch))  # (R, C, 14, 14)
    with torch.autocast(pooled.device.type, torch.bfloat16, enabled=bf16):
        logits = heads.mask_predictor(heads.mask_head(pooled))
    return _precise(logits)


def _sizes(batch: Batch) -> list[tuple[int, int]]:
    return [(height, width) for height, width in batch.sizes_px.int().tolist()]


def _precise(x: Tensor) -> Tensor:
    """Return what bfloat16 has computed in float32: boxes are decoded, and losses computed, in no less."""
    return x.float() if x.dtype == torch.bfloat16 else x
