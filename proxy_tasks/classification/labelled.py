"""Images with one class each: of a split whose images have one object, read ahead in their own sizes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foundation import InputError
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.batch_reading import read_originals
from proxy_tasks.coco.batches import IMAGENET, Normalisation, normalise
from proxy_tasks.coco.cache import CachedSplit


class LabelledImages(NamedTuple):
    """B images of their own sizes, each of one class, for a network that takes squares of S px.

    Attributes:
        images: (H, W, 3) bytes of RGB of each.
        labels: (B,) class index of each.
        image_size_px: S.
    """

    images: list[Tensor]
    labels: Tensor
    image_size_px: int

    @property
    def num_images(self) -> int:
        """The number of images, B."""
        return len(self.images)


def labels_of(annotations: Annotations, name: str) -> NDArray[np.int64]:
    """Return (N,) the class index of each image.

    Args:
        annotations: of the images, with one object in each.
        name: of the data, for messages.

    Raises:
        InputError: an image has none, several, or one without area; or there is one class in all.
    """
    counts = np.diff(annotations.first_box)  # (N,)
    others = np.flatnonzero(counts != 1)
    if len(others):
        first = others[0]
        raise InputError(
            f"{name}: {annotations.file_names[first]} has {counts[first]} objects, and a classifier learns from images "
            "of one class each: give a folder for each class (data=image_folder)"
        )
    lost = np.flatnonzero(~annotations.is_trained_on)
    if len(lost):
        raise InputError(f"{name}: the object of {annotations.file_names[lost[0]]} is a crowd, or has no area in it")
    if len(annotations.category_ids) < 2:
        raise InputError(f"{name} has one class, {annotations.category_names[0]}: nothing can be told apart")
    return annotations.labels


def read_labelled(
    split: CachedSplit, steps: Iterable[NDArray[np.int64]], device: torch.device
) -> Iterator[LabelledImages]:
    """Yield the images of each element of `steps`, (B,) rows.

    Args:
        split: one that `labels_of` takes, whose cache holds native images.
        steps: rows of each batch's images.
        device: the network's.

    Raises:
        BadDataError: the images cannot be read; most often the disk fails.
    """
    for part in read_originals(split, steps, device):
        # One box an image, in the order of the images.
        yield LabelledImages(part.separate(), part.labels, part.image_size_px)


def normalised(squares: Sequence[Tensor], by: Normalisation = IMAGENET) -> Tensor:
    """Return (S, S, 3) levels of B images as (B, 3, S, S), normalised, in channels-last layout."""
    pixels = torch.stack(list(squares))  # (B, S, S, 3)
    sizes_px = torch.full((len(pixels), 2), float(pixels.shape[1]), device=pixels.device)
    return normalise(pixels, sizes_px, by)
