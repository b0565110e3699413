"""Augmentation of original images: each is scaled, jittered and flipped in one resampling of its own pixels."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from proxy_tasks.coco.batches import Batch, normalise
from proxy_tasks.coco.decode import fitted_sizes
from proxy_tasks.coco.originals import Originals
from proxy_tasks.coco.read_ahead import to_device
from proxy_tasks.detection.augment import clip_boxes


def augment_originals(
    batch: Originals, drawn: NDArray[np.float32], *, flip: bool, jitter: tuple[float, float]
) -> Batch:
    """Scale each image to what fits a square of S px times a factor from `jitter`, flip half of them, and crop.

    The sizes are those of a cache of squares of factor times S px, in whole pixels, and so are the places of crops. An
    axis along which an image outgrows S px is cropped at a random position; along one that it does not fill, zeros
    stand right or below. Boxes follow exactly; see `augment` for those of which little is left.

    Args:
        batch: B images of their own sizes, on the network's device.
        drawn: (4, B) numbers of `draw_augmentation`.
        flip: mirror left and right with probability one half.
        jitter: smallest and largest factor; (1, 1) scales each image to the square alone.

    Source: tensorflow/tpu dataloader/retinanet_parser.py and utils/input_utils.py.
    Differs: there shrinking samples four pixels at each place; here all that it covers (antialiasing), as caches of
        squares and `Detector.detect` do. There boxes are clipped a pixel before the square's edge, and kept with any
        area that is left.
    """
    size, device = batch.image_size_px, batch.pixels.device
    is_flipped, scaled_px, offsets = place_images(batch, drawn, flip=flip, jitter=jitter)
    kept_px = scaled_px.clip(max=size)  # (B, 2)

    levels = torch.zeros((batch.num_images, size, size, 3), device=device)  # (B, S, S, 3)
    plan = zip(levels, batch.separate(), is_flipped, scaled_px.tolist(), offsets.tolist(), strict=True)
    for square, image, is_mirrored, scaled, offset in plan:
        kept = _resample(image, scaled, is_mirrored)[offset[0] :, offset[1] :][:size, :size]  # (H, W, 3)
        square[: kept.shape[0], : kept.shape[1]] = kept

    sizes_px = to_device(kept_px.astype(np.float32), device)  # (B, 2)
    geometry = np.column_stack((is_flipped, scaled_px[:, 1], scaled_px / batch.original_px, offsets))
    boxes = _moved_boxes(batch, to_device(geometry.astype(np.float64), device)).float()  # (N, 4)
    boxes, labels = clip_boxes(boxes, batch.labels, size)
    return Batch(normalise(levels, sizes_px), sizes_px, boxes, labels, batch.image)


class Placement(NamedTuple):
    """The places of B images in squares.

    Attributes:
        is_flipped: (B,) true for one that is mirrored left and right.
        scaled_px: (B, 2) height and width that each is scaled to.
        offsets: (B, 2) top and left of what is kept, in pixels of the scaled image.
    """

    is_flipped: NDArray[np.bool_]
    scaled_px: NDArray[np.int64]
    offsets: NDArray[np.int64]


def place_images(batch: Originals, drawn: NDArray[np.float32], *, flip: bool, jitter: tuple[float, float]) -> Placement:
    """Return the place that each image gets by the numbers drawn; see `augment_originals`."""
    size = batch.image_size_px
    sides = np.rint(size * (jitter[0] + (jitter[1] - jitter[0]) * drawn[1])).astype(np.int64).clip(min=1)  # (B,)
    scaled_px = fitted_sizes(batch.original_px, sides)  # (B, 2)

    # Only what has no place in the square is cropped. The third number drawn is for x, the fourth for y.
    offsets = np.floor((scaled_px - size).clip(min=0) * drawn[[3, 2]].T).astype(np.int64)  # (B, 2)
    return Placement((drawn[0] < 0.5) & flip, scaled_px, offsets)


def _resample(image: Tensor, scaled: list[int], is_mirrored: bool) -> Tensor:
    """Return an (H, W, 3) image scaled to a height and width, as float32 levels from 0 to 255."""
    planes = image.permute(2, 0, 1)[None]  # (1, 3, H, W)
    if is_mirrored:
        planes = planes.flip(-1)
    resized = F.interpolate(planes.float(), size=scaled, mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0)


def _moved_boxes(batch: Originals, geometry: Tensor) -> Tensor:
    """Return the (N, 4) boxes as the images are scaled, mirrored and cropped.

    Args:
        batch: the images.
        geometry: (B, 6) of each image: mirrored or not, its scaled width, its scale in y and x, its offset in y and x.
    """
    is_flipped, width, scale_y, scale_x, top, left = geometry[batch.image].unbind(dim=1)  # (N,) each
    x1, y1, x2, y2 = (batch.boxes_xyxy * torch.stack((scale_x, scale_y, scale_x, scale_y), dim=1)).unbind(dim=1)

    is_flipped = is_flipped.bool()
    x1, x2 = torch.where(is_flipped, width - x2, x1), torch.where(is_flipped, width - x1, x2)
    return torch.stack((x1 - left, y1 - top, x2 - left, y2 - top), dim=1)  # (N, 4)
