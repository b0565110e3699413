"""Augmentation of squares: random flips and changes of scale, for a whole batch at once on its device."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from proxy_tasks.coco.batches import Batch
from proxy_tasks.coco.read_ahead import to_device

MIN_SIDE_PX = 1.0
"""Smallest side of a box inside the image; boxes of which less is left are dropped."""


def draw_augmentation(rng: np.random.Generator, num_images: int) -> NDArray[np.float32]:
    """Return (4, B) numbers in [0, 1), which do not depend on the device: the randomness that `augment` takes.

    They are four for each image, whatever is switched on: flip, factor, and the position of the crop in x and y.
    """
    return rng.random((4, num_images), dtype=np.float32)


def augment(batch: Batch, drawn: NDArray[np.float32], *, flip: bool, jitter: tuple[float, float]) -> Batch:
    """Flip half of the images and scale each by a factor from `jitter`.

    An axis along which an image outgrows S px is cropped at a random position; along one that it does not fill, zeros
    stand right or below. Padding is no part of the image: it is neither mirrored nor what a crop may fall on. Boxes
    follow exactly. Those of which less than `MIN_SIDE_PX` is left get the label -1.

    Args:
        batch: B images in squares of S px.
        drawn: (4, B) numbers of `draw_augmentation`.
        flip: mirror left and right with probability one half.
        jitter: smallest and largest factor; (1, 1) keeps the scale.

    Source: tensorflow/tpu dataloader/retinanet_parser.py and utils/input_utils.py, in batch.
    Differs: there the original image is resampled; here the one in the square, so what grows is no sharper, and its
        outermost half pixel is blended with zeros. There scaled sizes and crops are rounded to whole pixels. There
        boxes are clipped a pixel before the square's edge, and kept with any area that is left: under a jitter of 0.5
        to 2 at 512 px that is 0.2 % more of small objects.
    """
    size, device = batch.images.shape[-1], batch.images.device

    uniform = to_device(drawn, device)  # (4, B)
    is_flipped = (uniform[0] < 0.5) & flip  # (B,)
    factor = jitter[0] + (jitter[1] - jitter[0]) * uniform[1]  # (B,)

    # Top left corner of what is kept, in pixels of the scaled image: only what has no place in the square is cropped.
    scaled_px = batch.sizes_px * factor[:, None]  # (B, 2) height and width
    offset = uniform[2:].T * (scaled_px - size).clamp(min=0).flip(-1)  # (B, 2) x and y

    images, boxes, width = batch.images, batch.boxes_xyxy, batch.sizes_px[:, 1]
    if flip:
        right = width[batch.image]  # (N,)
        mirrored = torch.stack((right - boxes[:, 2], boxes[:, 1], right - boxes[:, 0], boxes[:, 3]), dim=-1)  # (N, 4)
        boxes = torch.where(is_flipped[batch.image, None], mirrored, boxes)  # (N, 4)

    # Flip and scale are one resampling; a flip alone moves pixels without computing any.
    if jitter != (1.0, 1.0):
        images = _resample(images, is_flipped, width, factor, offset)
        boxes = boxes * factor[batch.image, None] - offset.repeat(1, 2)[batch.image]  # (N, 4)
    elif flip:
        images = _mirror(images, is_flipped, width)

    boxes, labels = clip_boxes(boxes, batch.labels, size)
    return Batch(images, scaled_px.clamp(max=size), boxes, labels, batch.image)


def clip_boxes(boxes_xyxy: Tensor, labels: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Clip (N, 4) boxes to a square; (N,) labels of those of which less than `MIN_SIDE_PX` is left become -1."""
    boxes_xyxy = boxes_xyxy.clamp(0, size)
    is_left = ((boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) >= MIN_SIDE_PX).all(dim=-1)  # (N,)
    return boxes_xyxy, torch.where(is_left, labels, -1)


def _mirror(images: Tensor, is_flipped: Tensor, width: Tensor) -> Tensor:
    """Mirror some of (B, 3, S, S) images left and right, each within its width, (B,)."""
    num_images, size = images.shape[0], images.shape[-1]
    column = torch.arange(size, device=images.device)  # (S,)
    is_mirrored = is_flipped[:, None] & (column < width[:, None])  # (B, S)
    source = torch.where(is_mirrored, width[:, None].long() - 1 - column, column)  # (B, S) column to read from

    # Pixels are moved as rows of three values: in channels-last layout they lie together.
    line = torch.arange(num_images * size, device=images.device).view(num_images, size, 1)  # (B, S, 1)
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3)  # (B * S * S, 3)
    return pixels[line * size + source[:, None]].permute(0, 3, 1, 2)  # (B, 3, S, S)


def _grid(theta: Tensor, size: int) -> Tensor:
    """Return (B, S, S, 2), where each output pixel lies in the input, of (B, 2, 3) scalings and shifts."""
    if theta.device.type == "cpu":
        return F.affine_grid(theta, [len(theta), 3, size, size], align_corners=False)

    # The same without the products with zero, which torch makes with a large matrix.
    centre = (torch.arange(size, device=theta.device) * 2 + 1) / size - 1  # (S,)
    x, y = (theta[:, axis, axis, None] * centre + theta[:, axis, 2, None] for axis in (0, 1))  # (B, S) each
    shape = (len(theta), size, size)
    return torch.stack((x[:, None, :].expand(shape), y[:, :, None].expand(shape)), dim=-1)


def _resample(images: Tensor, is_flipped: Tensor, width: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Sample (B, 3, S, S) at output pixel p from pixel `(p + offset) / factor` of the mirrored input, zeros outside."""
    size = images.shape[-1]
    # In grid_sample's coordinates pixel centres p + 0.5 of an image of S px lie at 2 (p + 0.5) / S - 1.
    shift = (1 - factor[:, None] + 2 * offset / size) / factor[:, None]  # (B, 2)
    theta = images.new_zeros(len(images), 2, 3)  # (B, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / factor
    theta[:, :, 2] = shift

    # A mirrored image is read from right to left, from the end of its width.
    theta[:, 0] = torch.where(is_flipped[:, None], -theta[:, 0], theta[:, 0])
    theta[:, 0, 2] += torch.where(is_flipped, 2 * width / size - 2, 0)

    grid = _grid(theta, size)  # (B, S, S, 2)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
