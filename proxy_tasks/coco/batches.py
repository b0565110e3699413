"""Batches of images and boxes: which images, in which order, on which device."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from proxy_tasks.coco.cache import CachedSplit

# ImageNet's mean and deviation per channel of RGB in [0, 1], as in the reference's input pipeline.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
MAX_BOXES = 100
"""Boxes kept per image; the reference's limit."""


class Batch(NamedTuple):
    """B images of S px with up to N boxes each.

    Attributes:
        images: (B, 3, S, S) float32, normalised, in channels-last layout; padding is zero after normalisation.
        boxes_xyxy: (B, N, 4) corners in pixels; rows past an image's boxes are zero.
        labels: (B, N) class index, -1 in rows past an image's boxes.
    """

    images: Tensor
    boxes_xyxy: Tensor
    labels: Tensor


def split_held_out(num_images: int, num_held_out: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split image rows into those to train on and those held out for the reward.

    Returns:
        Training rows in shuffled order, held-out rows ascending. The same arguments give the same split.

    Raises:
        ValueError: nothing would be left to train on, or nothing to score on.
    """
    if not 1 <= num_held_out < num_images:
        raise ValueError(
            f"num_held_out must leave something to train on and to score: 1 to {num_images - 1} of {num_images} "
            f"images, got {num_held_out}"
        )
    order = np.random.default_rng([seed, num_images]).permutation(num_images)
    return order[num_held_out:], np.sort(order[:num_held_out])


def make_batch(split: CachedSplit, rows: NDArray[np.int64], device: torch.device) -> Batch:
    """Gather images by row; crowd boxes are left out, as in the reference."""
    annotations = split.annotations
    boxes = np.zeros((len(rows), MAX_BOXES, 4), dtype=np.float32)
    labels = np.full((len(rows), MAX_BOXES), -1, dtype=np.int64)
    most = 1
    for i, row in enumerate(rows):
        span = slice(annotations.first_box[row], annotations.first_box[row + 1])
        kept = np.flatnonzero(~annotations.is_crowd[span])[:MAX_BOXES] + annotations.first_box[row]
        boxes[i, : len(kept)] = annotations.boxes_xyxy[kept] * split.scales[row]
        labels[i, : len(kept)] = annotations.labels[kept]
        most = max(most, len(kept))
    images = torch.from_numpy(split.images[rows]).to(device, non_blocking=True)
    return Batch(
        images=normalise(images),
        boxes_xyxy=torch.from_numpy(boxes[:, :most]).to(device),
        labels=torch.from_numpy(labels[:, :most]).to(device),
    )


def normalise(images: Tensor) -> Tensor:
    """Turn (B, S, S, 3) uint8 into (B, 3, S, S) float32, channels last; all-zero pixels (padding) stay zero."""
    mean, std = (torch.tensor(values, device=images.device) * 255 for values in (_MEAN, _STD))
    normal = (images - mean) / std
    is_padding = (images == 0).all(dim=-1, keepdim=True)
    return normal.masked_fill(is_padding, 0).permute(0, 3, 1, 2)


def training_rows(rows: NDArray[np.int64], batch_size: int, num_steps: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield `num_steps` batches of rows; every image comes once before any comes again."""
    rng = np.random.default_rng([seed, len(rows)])
    queue = rng.permutation(rows)
    for _ in range(num_steps):
        while len(queue) < batch_size:
            queue = np.concatenate((queue, rng.permutation(rows)))
        yield queue[:batch_size]
        queue = queue[batch_size:]
