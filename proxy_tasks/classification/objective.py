"""The objective of a classifier: images cropped, flipped and changed at random, and cross entropy."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxy_tasks.classification.crops import draw_crops, rand_augmented, random_crop, take_crop
from proxy_tasks.classification.labelled import LabelledImages, normalised
from proxy_tasks.classification.recipe import ClassRecipe
from proxy_tasks.training.processes import Processes


class ReadyImages(NamedTuple):
    """Some images of a batch as the network takes them.

    Attributes:
        images: (B, 3, S, S) normalised.
        labels: (B,) class of each.
        num_in_batch: images of the whole batch.
    """

    images: Tensor
    labels: Tensor
    num_in_batch: int


class ClassObjective:
    """The mean cross entropy of a batch, an `Objective`.

    Args:
        recipe: crops, changes and smoothing.
        flip: mirror half of the images.
        bf16: compute convolutions in bfloat16.
    """

    def __init__(self, recipe: ClassRecipe, *, flip: bool, bf16: bool) -> None:
        self._recipe, self._flip, self._bf16 = recipe, flip, bf16

    def ready(
        self,
        parts: Sequence[LabelledImages],
        rng: np.random.Generator,
        *,
        num_images: int,
        first: int,
        processes: Processes,
    ) -> list[ReadyImages]:
        """Return the parts augmented as they would be in one batch."""
        drawn = draw_crops(rng, num_images)  # (numbers, images of the step)
        seeds = rng.integers(2**63, size=num_images).tolist()

        ready = []
        for part in parts:
            squares = []
            for number, image in enumerate(part.images, first):
                height, width = image.shape[:2]
                crop = random_crop(height, width, drawn[:, number], self._recipe, flip=self._flip)
                levels = take_crop(image, crop, part.image_size_px)
                squares.append(rand_augmented(levels, self._recipe, seeds[number]))
            ready.append(ReadyImages(normalised(squares), part.labels, num_images))
            first += part.num_images
        return ready

    def loss(self, network: nn.Module, part: ReadyImages) -> Tensor:
        """Return what a part adds to the mean over the batch."""
        with torch.autocast(part.images.device.type, torch.bfloat16, enabled=self._bf16):
            logits = network(part.images)
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))  # (B, K)
        smoothing = self._recipe.label_smoothing
        return F.cross_entropy(precise, part.labels, label_smoothing=smoothing, reduction="sum") / part.num_in_batch

    def recorded(self, network: nn.Module, parameters: list[nn.Parameter]) -> None:
        """Return None: steps are launched operator by operator."""
