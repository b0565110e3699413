"""The statistics that batch normalisation uses in inference, taken again after a training."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import update_bn

from proxy_tasks.coco.batches import training_rows
from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.short_training.head import TrialHead
from proxy_tasks.training.objective import Part, Ready

_NUM_IMAGES = 320
_NUM_BATCHES = 20
_PIXELS_AT_ONCE = 160 * 96**2
"""Pixels of a batch, where the training's own is smaller: little memory for a network that keeps no gradients."""


def retake_statistics(
    network: nn.Module,
    head: TrialHead[Part, Ready],
    split: CachedSplit,
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    seed: int,
    device: torch.device,
    bf16: bool,
) -> None:
    """Take mean and variance of each batch normalisation again, from training images; the weights stay.

    After few steps the running averages of a training lag behind its weights. Nor would small batches do: a layer
    whose feature is one pixel has as many values as there are images, so that each layer sees what the one before it
    makes of a handful of values, which inference does not. With batches of eight, AP of one network was 0.30 where
    batches of 40 to 160 gave 0.42.

    Args:
        network: on the device; left in the mode that it is in.
        head: runs images through it.
        split: the images.
        rows: those that it was trained on.
        batch_size: images of a step of its training; the batches here are as large, or larger where the head lets them.
        seed: seed of the choice of images.
        device: the network's.
        bf16: compute convolutions in bfloat16.

    Raises:
        BadDataError: the images cannot be read.
    """
    for one in head.statistics(network, bf16=bf16):
        size, num_batches = batch_size, max(1, round(min(_NUM_IMAGES, len(rows)) / batch_size))
        if one.in_large_batches:
            size, num_batches = statistics_batches(batch_size, split.image_size_px, len(rows))
        batches = head.batches(split, training_rows(rows, size, num_batches, seed), device)
        # As calls: of a tuple `update_bn` would take the first element alone.
        update_bn((partial(one.run, batch) for batch in batches), _Called(one.module))


class _Called(nn.Module):
    """A part of a network as `update_bn` takes it, which is in the mode that the part is in."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.training = module, module.training

    def forward(self, call: Callable[[], object]) -> object:
        return call()


def statistics_batches(batch_size: int, image_size_px: int, num_images: int) -> tuple[int, int]:
    """Return the images of a batch, and the number of batches, which show no image twice while others are left."""
    size = max(batch_size, min(_PIXELS_AT_ONCE // image_size_px**2, num_images))
    wanted = max(_NUM_IMAGES, _NUM_BATCHES * batch_size)
    return size, max(1, round(min(wanted, num_images) / size))
