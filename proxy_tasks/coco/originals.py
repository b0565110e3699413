"""Batches of original images, each of its own size, which training scales on the device in one resampling."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from proxy_tasks.coco.batches import training_boxes
from proxy_tasks.coco.cache import CachedSplit
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
    """

    pixels: Tensor
    stored_px: NDArray[np.int64]
    original_px: NDArray[np.int64]
    boxes_xyxy: Tensor
    labels: Tensor
    image: Tensor
    image_size_px: int

    @property
    def num_images(self) -> int:
        """The number of images, B."""
        return len(self.stored_px)

    def separate(self) -> list[Tensor]:
        """Return each image, (H, W, 3) bytes."""
        parts = torch.split(self.pixels, (3 * self.stored_px.prod(axis=1)).tolist())
        return [part.view(*size, 3) for part, size in zip(parts, self.stored_px.tolist(), strict=True)]


def load_originals(split: CachedSplit, steps: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[Originals]:
    """Yield a batch for each step, read ahead in a thread; the boxes are those of `load_batches`.

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
        boxes, labels, image = training_boxes(split.annotations, rows)
        return Originals(
            # One copy to the device for all: many small ones would each wait for the one before.
            pixels=to_device(np.concatenate([one.reshape(-1) for one in images]), device),  # (P,)
            stored_px=np.array([one.shape[:2] for one in images]),  # (B, 2)
            original_px=split.annotations.sizes_px[rows],  # (B, 2)
            boxes_xyxy=to_device(boxes, device),  # (N, 4)
            labels=to_device(labels, device),  # (N,)
            image=to_device(image, device),  # (N,)
            image_size_px=split.image_size_px,
        )

    return read_ahead(load, steps, device)
