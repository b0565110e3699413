"""Random flips and changes of scale, for a whole batch at once on its device."""

import torch
import torch.nn.functional as F
from torch import Tensor

from proxy_tasks.coco.batches import Batch

MIN_SIDE_PX = 1.0
"""Boxes of which less is left inside the image, in either direction, are dropped."""


def augment(batch: Batch, generator: torch.Generator, *, flip: bool, jitter: tuple[float, float]) -> Batch:
    """Flip half of the images and scale each by a factor from `jitter`.

    An image that grows is cropped at a random place; one that shrinks keeps its top left corner and zeros fill the
    rest. Boxes follow exactly.

    Args:
        batch: B images of S px.
        generator: on the CPU; what is drawn does not depend on the device.
        flip: mirror left and right with probability one half.
        jitter: smallest and largest factor; (1, 1) keeps the scale.

    Source: tensorflow/tpu dataloader/retinanet_parser.py, in batch.
    Differs: there the original image is resampled and the crop lies within it; here the padded square is both.
    """
    num_images, size = batch.images.shape[0], batch.images.shape[-1]
    device = batch.images.device
    draws = torch.rand(4, num_images, generator=generator).to(device)
    is_flipped = (draws[0] < 0.5) & flip
    factor = jitter[0] + (jitter[1] - jitter[0]) * draws[1]
    # Top left corner of what is kept, in pixels of the scaled image.
    offset = draws[2:] * (size * factor - size).clamp(min=0)
    images, boxes = batch.images, batch.boxes_xyxy
    if flip:
        images = torch.where(is_flipped[:, None, None, None], images.flip(3), images)
        mirrored = torch.stack((size - boxes[..., 2], boxes[..., 1], size - boxes[..., 0], boxes[..., 3]), dim=-1)
        boxes = torch.where(is_flipped[:, None, None], mirrored, boxes)
    if jitter != (1.0, 1.0):
        images = _scale_and_crop(images, factor, offset)
        boxes = boxes * factor[:, None, None] - offset.T.repeat(1, 2)[:, None]
    boxes = boxes.clamp(0, size)
    is_left = ((boxes[..., 2:] - boxes[..., :2]) >= MIN_SIDE_PX).all(dim=-1)
    labels = torch.where(is_left, batch.labels, -1)
    return Batch(images, torch.where((labels >= 0)[..., None], boxes, 0), labels)


def _scale_and_crop(images: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Sample (B, 3, S, S) at output pixel p from input pixel `(p + offset) / factor`, zeros outside."""
    size = images.shape[-1]
    # In grid_sample's coordinates pixel centres p + 0.5 of an image of S px lie at 2 (p + 0.5) / S - 1.
    shift = (1 - factor[None] + 2 * offset / size) / factor
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / factor
    theta[:, :, 2] = shift.T
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
