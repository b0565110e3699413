"""Images with one class each: of a split whose images have one object, read ahead in their own sizes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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


def read_labelled(
    split: CachedSplit, steps: Iterable[NDArray[np.int64]], device: torch.device
) -> Iterator[LabelledImages]:
    """Yield the images of each element of `steps`, (B,) rows.

    Args:
        split: one whose annotations `labels_of` takes, whose cache holds native images.
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
