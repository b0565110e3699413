"""The head of a trial that detects boxes: anchors, focal and Huber loss, average precision."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from proxy_tasks.coco.batch_reading import read_batches
from proxy_tasks.coco.batches import Batch
from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.coco.open_data import OpenData
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.box_objective import BoxObjective
from proxy_tasks.detection.inference import detect_all
from proxy_tasks.detection.scoring import score
from proxy_tasks.short_training.head import StatisticsPass
from proxy_tasks.training.recipe import Recipe
from search_space import ModelScale


class BoxTrialHead:
    """Boxes, a `TrialHead` of squares.

    Args:
        scale: of the networks.
        per_class: measure AP of each class too.
    """

    def __init__(self, scale: ModelScale, *, per_class: bool) -> None:
        self._scale, self._per_class = scale, per_class

    def objective(self, network: nn.Module, recipe: Recipe, *, bf16: bool) -> BoxObjective:
        """Return what the training minimises."""
        return BoxObjective(self._anchors(network), recipe, bf16=bf16)

    def batches(self, split: CachedSplit, steps: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[Batch]:
        """Yield squares with their boxes."""
        return read_batches(split, steps, device)

    def statistics(self, network: nn.Module, *, bf16: bool) -> Sequence[StatisticsPass[Batch]]:
        """Return the whole network, run on images as they are."""

        def run(batch: Batch) -> object:
            with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=bf16):
                return network(batch.images)

        return [StatisticsPass(network, run)]

    def metrics(self, network: nn.Module, data: OpenData, *, bf16: bool) -> dict[str, float]:
        """Return COCO's twelve figures."""
        found = detect_all(network, self._anchors(network), data.scored, data.scored_rows, bf16=bf16)
        return score(data.scored.annotations, data.scored_rows, found, per_class=self._per_class)

    def _anchors(self, network: nn.Module) -> Tensor:
        device = next(network.parameters()).device
        levels = network.output_levels
        return make_anchors(levels, self._scale.image_size_px, self._scale.anchor_scale, device)  # type: ignore[arg-type]  # of RetinaNet
