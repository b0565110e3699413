"""Batches of images and boxes, read ahead and put on a device, and the order in which images are trained on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.coco.image_store import JpegImages
from proxy_tasks.coco.read_ahead import read_ahead, to_device


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and deviation of each channel of RGB in [0, 1], which a network's input is shifted and divided by."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not all(0 <= value <= 1 for value in self.mean) or not all(0 < value <= 1 for value in self.std):
            raise ValueError(f"mean and std must lie in 0 to 1, std above 0, got {self.mean} and {self.std}")


IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""ImageNet's, as in the reference's input pipeline."""


class Batch(NamedTuple):
    """B images of S px with N boxes in all.

    Attributes:
        images: (B, 3, S, S) float32, normalised, in channels-last layout; padding is zero after normalisation, but for
            a few pixels around the image where the cache is JPEG.
        sizes_px: (B, 2) float32, height and width of each image without its padding, which is right and below.
        boxes_xyxy: (N, 4) corners in pixels, one image's after the other's; N is 1 or more.
        labels: (N,) class index, -1 for entries that are no box.
        image: (N,) index in the batch of the image that each box is in.
    """

    images: Tensor
    sizes_px: Tensor
    boxes_xyxy: Tensor
    labels: Tensor
    image: Tensor

    @property
    def num_images(self) -> int:
        """The number of images, B."""
        return len(self.images)


class _Loaded(NamedTuple):
    """A batch before normalisation: (B, S, S, 3) bytes, and (B, 2) height and width of each image without padding."""

    pixels: Tensor
    sizes_px: Tensor
    boxes_xyxy: Tensor
    labels: Tensor
    image: Tensor

    def batch(self) -> Batch:
        images = normalise(self.pixels, self.sizes_px)
        return Batch(images, self.sizes_px, self.boxes_xyxy, self.labels, self.image)


def load_batches(split: CachedSplit, steps: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[Batch]:
    """Yield a batch for each step, read ahead in a thread.

    Crowds are left out, as in the reference, and so are boxes without area in their image.

    Args:
        split: images of S px.
        steps: rows of each batch's images, (B,).
        device: the network's.
    """
    for loaded in read_ahead(lambda rows: _load(split, rows, device), steps, device):
        yield loaded.batch()


def _load(split: CachedSplit, rows: NDArray[np.int64], device: torch.device) -> _Loaded:
    """Read the images and boxes of one batch and copy them to the device."""
    boxes, labels, image = training_boxes(split.annotations, rows)
    boxes *= np.tile(split.scales_xy[rows][image], (1, 2))  # (N, 4) pixels of the cached image
    return _Loaded(
        pixels=_read_pixels(split, rows, device),  # (B, S, S, 3)
        sizes_px=to_device(split.sizes_px[rows].astype(np.float32), device),  # (B, 2)
        boxes_xyxy=to_device(boxes.astype(np.float32), device),  # (N, 4)
        labels=to_device(labels, device),  # (N,)
        image=to_device(image, device),  # (N,)
    )


def training_boxes(
    annotations: Annotations, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the boxes of images that are trained on.

    Args:
        annotations: of all images.
        rows: (B,) the images.

    Returns:
        (N, 4) corners in original pixels, (N,) labels, (N,) index in `rows` of each box's image; N is 1 or more.
    """
    return boxes_or_none(annotations, *annotations.boxes_to_train_on(rows))


def boxes_or_none(
    annotations: Annotations, kept: NDArray[np.int64], image: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return corners, labels and images of the boxes `kept`, (N,), or one entry that is no box where there are none."""
    # Matching needs one entry at least: a box without area, whose label -1 says that it is no object.
    if not len(kept):
        return np.zeros((1, 4)), np.array([-1]), np.array([0])
    return annotations.boxes_xyxy[kept], annotations.labels[kept], image


def _read_pixels(split: CachedSplit, rows: NDArray[np.int64], device: torch.device) -> Tensor:
    """Return (B, S, S, 3) bytes; on CUDA the device decodes JPEGs itself."""
    is_cuda = device.type == "cuda"
    if is_cuda and isinstance(split.images, JpegImages):
        # Copied, as torch wants memory that it may write to.
        encoded = [torch.from_numpy(jpeg.copy()) for jpeg in split.images.encoded(rows)]
        stacked = torch.stack(decode_jpeg(encoded, ImageReadMode.RGB, device))  # (B, 3, S, S)
        stacked = stacked.permute(0, 2, 3, 1).contiguous()  # (B, S, S, 3)

        # torchvision decodes on a stream of its own, which does not wait for this one: before it gets the memory of
        # these images again, they must have been copied. Only this thread waits.
        torch.cuda.current_stream(device).synchronize()
        return stacked

    size = split.image_size_px
    pixels = torch.empty((len(rows), size, size, 3), dtype=torch.uint8, pin_memory=is_cuda)
    split.images.read(rows, pixels.numpy())
    return pixels.to(device, non_blocking=True)


def normalise(pixels: Tensor, sizes_px: Tensor, by: Normalisation = IMAGENET) -> Tensor:
    """Turn (B, S, S, 3) levels into (B, 3, S, S) float32, channels last; black beyond `sizes_px` becomes zero.

    Args:
        pixels: RGB from 0 to 255, uint8, or float32 which is overwritten.
        sizes_px: (B, 2) height and width of each image without its padding.
        by: mean and deviation of the channels.
    """
    num_images, size = pixels.shape[:2]
    scale, shift, number = _line_constants(size, by, pixels.device)

    # The shift, without which black is zero, is left out of the padding.
    is_image_line = (number < sizes_px[:, :1]).float()[:, :, None]  # (B, S, 1)
    is_image_pixel = (number < sizes_px[:, 1:]).float().repeat_interleave(3, dim=1)  # (B, 3 S)
    shift_of_pixel = (is_image_pixel * shift)[:, None]  # (B, 1, 3 S)

    # A line of pixels is taken as one vector of 3 S values: operators are many times slower on vectors of three.
    lines = pixels.view(num_images, size, 3 * size).float()  # (B, S, 3 S)
    normal = lines.mul_(scale).addcmul_(is_image_line, shift_of_pixel)
    return normal.view(num_images, size, size, 3).permute(0, 3, 1, 2)  # (B, 3, S, S)


@lru_cache(maxsize=8)
def _line_constants(size: int, by: Normalisation, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return the factors of a line of pixels, (3 S,), the shifts, (3 S,), and the number of each pixel, (S,)."""
    mean, std = torch.tensor(by.mean) * 255, torch.tensor(by.std) * 255
    return (1 / std).repeat(size).to(device), (-mean / std).repeat(size).to(device), torch.arange(size, device=device)


def training_rows(
    rows: NDArray[np.int64], batch_size: int, num_steps: int, seed: int, first_step: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of the images of `num_steps` batches, without those of the steps before `first_step`.

    Every image comes once before any comes again.

    The order of epoch e depends on the seed and e alone.
    """
    current_epoch, order = -1, rows
    for step in range(first_step, num_steps):
        # Images are counted through all epochs: image i is number i % N of epoch i // N.
        counts = np.arange(step * batch_size, (step + 1) * batch_size)
        epochs, positions = np.divmod(counts, len(rows))

        batch = []
        for epoch in np.unique(epochs):
            if epoch != current_epoch:
                current_epoch, order = epoch, np.random.default_rng([seed, epoch]).permutation(rows)
            batch.append(order[positions[epochs == epoch]])
        yield np.concatenate(batch)
