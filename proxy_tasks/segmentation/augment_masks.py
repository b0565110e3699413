"""Augmentation of masks: each is scaled, mirrored and cropped as its image is."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from proxy_tasks.coco.originals import Originals
from proxy_tasks.coco.read_ahead import to_device
from proxy_tasks.detection.augment_originals import place_images


def augment_masks(
    batch: Originals, drawn: NDArray[np.float32], *, flip: bool, jitter: tuple[float, float]
) -> list[Tensor]:
    """Return the masks of each image's boxes as `augment_originals` places the image, (its N, S, S) bytes of 0 and 1.

    A pixel has the value that the mask has at the pixel's middle, as in the reference.

    Args:
        batch: B images of their own sizes with masks, on the network's device.
        drawn: (4, B) numbers of `draw_augmentation`.
        flip: mirror left and right with probability one half.
        jitter: smallest and largest factor.

    Raises:
        ValueError: the images were read without masks.

    Source: tensorflow/tpu utils/input_utils.py, resize_and_crop_masks.
    """
    size, device = batch.image_size_px, batch.pixels.device
    place = place_images(batch, drawn, flip=flip, jitter=jitter)
    moved = []
    for i, masks in enumerate(batch.separate_masks()):
        rows, columns = (
            _sources(int(batch.stored_px[i, axis]), int(place.scaled_px[i, axis]), int(place.offsets[i, axis]), size)
            for axis in (0, 1)
        )
        if place.is_flipped[i]:
            columns = batch.stored_px[i, 1] - 1 - columns

        square = torch.zeros((len(masks), size, size), dtype=torch.uint8, device=device)
        kept = masks.index_select(1, to_device(rows, device)).index_select(2, to_device(columns, device))
        square[:, : len(rows), : len(columns)] = kept
        moved.append(square)
    return moved


def _sources(stored_px: int, scaled_px: int, offset: int, size: int) -> NDArray[np.int64]:
    """Return the pixel of an axis that each kept pixel is read from, before mirroring: the one below its middle."""
    middles = np.arange(min(scaled_px, size)) + offset + 0.5
    return np.floor(middles * stored_px / scaled_px).astype(np.int64)
