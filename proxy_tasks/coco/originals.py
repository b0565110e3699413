"""Batches of original images, each of its own size, which training scales on the device in one resampling."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from proxy_tasks.coco.batches import boxes_or_none, training_boxes
from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.coco.masks import Masks, masks_to_train_on
from proxy_tasks.coco.native_images import NativeImages
from proxy_tasks.coco.read_ahead import read_ahead, to_device


class Originals(NamedTuple):
    """B images of their own sizes with N boxes in all, to be scaled for a network that takes squares of S px.

    Attributes:
        pixels: bytes of RGB of all images, one after the other, each (H, W, 3).
        stored_px: (B, 2) height and width of each image in `pixels`.
        original_px: (B, 2) height and width that boxes are in pixels of; larger where the cache has a smaller bound.
        boxes_xyxy: (N, 4) float64 corners in original pixels, one image's after the other's; N is 1 or more.
        labels: (N,) class index, -1 for entries that are no box.
        image: (N,) index in the batch of the image that each box is in.
        image_size_px: S.
        masks: bytes of the boxes' masks, one after the other, each (H, W) ones and zeros of its image's `stored_px`;
            None where masks were not asked for.
    """

    pixels: Tensor
    stored_px: NDArray[np.int64]
    original_px: NDArray[np.int64]
    boxes_xyxy: Tensor
    labels: Tensor
    image: Tensor
    image_size_px: int
    masks: Tensor | None = None

    @property
    def num_images(self) -> int:
        """The number of images, B."""
        return len(self.stored_px)

    def separate(self) -> list[Tensor]:
        """Return each image, (H, W, 3) bytes."""
        parts = torch.split(self.pixels, (3 * self.stored_px.prod(axis=1)).tolist())
        return [part.view(*size, 3) for part, size in zip(parts, self.stored_px.tolist(), strict=True)]

    def separate_masks(self) -> list[Tensor]:
        """Return the masks of each image's boxes, (its N, H, W) bytes.

        Raises:
            ValueError: masks were not asked for.
        """
        if self.masks is None:
            raise ValueError("these images were read without masks")
        counts = torch.bincount(self.image, minlength=self.num_images).tolist()
        shapes = [(count, *size) for count, size in zip(counts, self.stored_px.tolist(), strict=True)]
        parts = torch.split(self.masks, [math.prod(shape) for shape in shapes])
        return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def load_originals(split: CachedSplit, steps: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[Originals]:
    """Yield a batch for each step, read ahead in a thread; the boxes are those of `load_batches`.

    Of a split that has masks they are those of `masks_to_train_on`, with their masks.

    Args:
        split: one whose cache holds native images.
        steps: rows of each batch's images, (B,).
        device: the network's.
    """
    stored = split.images
    if not isinstance(stored, NativeImages):
        raise TypeError(f"{split.path} holds squares, and no images of their own size")

    def load(rows: NDArray[np.int64]) -> Originals:
        images = stored.decoded(rows)
        stored_px = np.array([one.shape[:2] for one in images])  # (B, 2)
        masks = None
        if split.masks is None:
            boxes, labels, image = training_boxes(split.annotations, rows)
        else:
            kept, image = masks_to_train_on(split.annotations, split.masks, rows)
            boxes, labels, image = boxes_or_none(split.annotations, kept, image)
            masks = to_device(_decoded_masks(split.masks, kept, stored_px[image]), device)

        return Originals(
            # One copy to the device for all: many small ones would each wait for the one before.
            pixels=to_device(np.concatenate([one.reshape(-1) for one in images]), device),  # (P,)
            stored_px=stored_px,
            original_px=split.annotations.sizes_px[rows],  # (B, 2)
            boxes_xyxy=to_device(boxes, device),  # (N, 4)
            labels=to_device(labels, device),  # (N,)
            image=to_device(image, device),  # (N,)
            image_size_px=split.image_size_px,
            masks=masks,
        )

    return read_ahead(load, steps, device)


def _decoded_masks(masks: Masks, kept: NDArray[np.int64], sizes_px: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the bytes of some masks in the sizes that their images are stored in, (N, 2); N is 1 or more.

    Where nothing is kept, the entry that stands for no box has an empty mask.
    """
    if not len(kept):
        return np.zeros(int(sizes_px[0].prod()), np.uint8)
    sizes = zip(kept.tolist(), sizes_px.tolist(), strict=True)
    return np.concatenate([_fitted(masks.decoded(number), *size).reshape(-1) for number, size in sizes])


def _fitted(mask: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return a mask in the size that its image is stored in: its value at the middle of each pixel."""
    if mask.shape == (height, width):
        return mask
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(np.int64)
    fitted: NDArray[np.uint8] = mask[rows[:, None], columns]
    return fitted
