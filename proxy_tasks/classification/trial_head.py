"""The head of a trial that says what an image shows: crops, cross entropy, top-1 and top-5."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from proxy_tasks.classification.labelled import LabelledImages, read_labelled
from proxy_tasks.classification.objective import ClassObjective
from proxy_tasks.classification.recipe import ClassRecipe
from proxy_tasks.classification.scoring import classify_all, middle_squares, score
from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.coco.open_data import OpenData
from proxy_tasks.short_training.head import StatisticsPass
from proxy_tasks.training.recipe import Recipe


class ClassTrialHead:
    """Classes, a `TrialHead` of original images.

    Args:
        classification: crops and targets.
    """

    def __init__(self, classification: ClassRecipe) -> None:
        self._classification = classification

    def objective(self, network: nn.Module, recipe: Recipe, *, bf16: bool) -> ClassObjective:
        """Return what the training minimises."""
        return ClassObjective(self._classification, flip=recipe.flip, bf16=bf16)

    def batches(
        self, split: CachedSplit, steps: Iterable[NDArray[np.int64]], device: torch.device
    ) -> Iterator[LabelledImages]:
        """Yield original images with their classes."""
        return read_labelled(split, steps, device)

    def statistics(self, network: nn.Module, *, bf16: bool) -> Sequence[StatisticsPass[LabelledImages]]:
        """Return the whole network, run on the squares that images are scored by."""

        def run(part: LabelledImages) -> object:
            with torch.autocast(part.labels.device.type, torch.bfloat16, enabled=bf16):
                return network(middle_squares(part))

        return [StatisticsPass(network, run)]

    def metrics(self, network: nn.Module, data: OpenData, *, bf16: bool) -> dict[str, float]:
        """Return top-1 and top-5."""
        return score([classify_all(network, data.scored, data.scored_rows, bf16=bf16)])
