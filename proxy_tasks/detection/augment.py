"""Augmentation: random flips and changes of scale, for a whole batch at once on its device."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from proxy_tasks.coco.batches import Batch

MIN_SIDE_PX = 1.0
"""Smallest side of a box inside the image; boxes of which less is left are dropped."""


def augment(batch: Batch, rng: np.random.Generator, *, flip: bool, jitter: tuple[float, float]) -> Batch:
    """Flip half of the images and scale each by a factor from `jitter`.

    An image that grows is cropped at a random position; one that shrinks keeps its top left corner and zeros fill the
    rest. Boxes follow exactly. Those of which less than `MIN_SIDE_PX` is left get the label -1.

    Args:
        batch: B images of S px.
        rng: source of the random numbers, which do not depend on the device.
        flip: mirror left and right with probability one half.
        jitter: smallest and largest factor; (1, 1) keeps the scale.

    Source: tensorflow/tpu dataloader/retinanet_parser.py, in batch.
    Differs: there the original image is resampled and the crop lies within it; here the padded square is both.
    """
    num_images, size = batch.images.shape[0], batch.images.shape[-1]
    device = batch.images.device

    # Four numbers an image, whatever is switched on: flip, factor, and the position of the crop in x and y.
    uniform = torch.from_numpy(rng.random((4, num_images), dtype=np.float32))  # (4, B)
    if device.type == "cuda":
        uniform = uniform.pin_memory().to(device, non_blocking=True)
    is_flipped = (uniform[0] < 0.5) & flip  # (B,)
    factor = jitter[0] + (jitter[1] - jitter[0]) * uniform[1]  # (B,)
    # Top left corner of what is kept, in pixels of the scaled image.
    offset = (uniform[2:] * (size * factor - size).clamp(min=0)).T  # (B, 2)

    images, boxes = batch.images, batch.boxes_xyxy
    if flip:
        mirrored = torch.stack((size - boxes[:, 2], boxes[:, 1], size - boxes[:, 0], boxes[:, 3]), dim=-1)  # (N, 4)
        boxes = torch.where(is_flipped[batch.image, None], mirrored, boxes)  # (N, 4)

    # Flip and scale are one resampling; a flip alone moves pixels without computing any.
    if jitter != (1.0, 1.0):
        images = _resample(images, is_flipped, factor, offset)
        boxes = boxes * factor[batch.image, None] - offset.repeat(1, 2)[batch.image]  # (N, 4)
    elif flip:
        images = torch.where(is_flipped[:, None, None, None], images.flip(3), images)

    boxes = boxes.clamp(0, size)
    is_left = ((boxes[:, 2:] - boxes[:, :2]) >= MIN_SIDE_PX).all(dim=-1)  # (N,)
    return Batch(images, batch.sizes_px, boxes, torch.where(is_left, batch.labels, -1), batch.image)


def _resample(images: Tensor, is_flipped: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Sample (B, 3, S, S) at output pixel p from pixel `(p + offset) / factor` of the flipped input, zeros outside."""
    size = images.shape[-1]
    # In grid_sample's coordinates pixel centres p + 0.5 of an image of S px lie at 2 (p + 0.5) / S - 1.
    shift = (1 - factor[:, None] + 2 * offset / size) / factor[:, None]  # (B, 2)
    theta = torch.zeros(len(images), 2, 3, device=images.device)  # (B, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / factor
    theta[:, :, 2] = shift

    # A mirrored image is read from right to left.
    theta[:, 0] = torch.where(is_flipped[:, None], -theta[:, 0], theta[:, 0])

    grid = F.affine_grid(theta, list(images.shape), align_corners=False)  # (B, S, S, 2)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
