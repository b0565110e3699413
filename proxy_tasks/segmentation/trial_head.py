"""The head of a trial that detects boxes with masks: torchvision's losses, average precision of boxes and masks."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.models.detection import MaskRCNN

from proxy_tasks.coco.batch_reading import read_originals
from proxy_tasks.coco.cache import CachedSplit, masks_of
from proxy_tasks.coco.open_data import OpenData
from proxy_tasks.coco.originals import Originals
from proxy_tasks.segmentation.mask_inference import detect_all_masks
from proxy_tasks.segmentation.mask_objective import MaskedBatch, MaskObjective
from proxy_tasks.segmentation.mask_scoring import score_masks
from proxy_tasks.segmentation.regions import features_of
from proxy_tasks.short_training.head import StatisticsPass
from proxy_tasks.training.processes import ALONE
from proxy_tasks.training.recipe import Recipe

_AS_THEY_ARE = Recipe(flip=False, jitter=(1.0, 1.0))


class MaskTrialHead:
    """Boxes with masks, a `TrialHead` of original images.

    Args:
        per_class: measure AP of each class too.
    """

    def __init__(self, *, per_class: bool) -> None:
        self._per_class = per_class

    def objective(self, network: nn.Module, recipe: Recipe, *, bf16: bool) -> MaskObjective:
        """Return what the training minimises."""
        return MaskObjective(_mask_rcnn(network), recipe, bf16=bf16)

    def batches(
        self, split: CachedSplit, steps: Iterable[NDArray[np.int64]], device: torch.device
    ) -> Iterator[Originals]:
        """Yield original images with their boxes and masks."""
        return read_originals(split, steps, device)

    def statistics(self, network: nn.Module, *, bf16: bool) -> Sequence[StatisticsPass[Originals]]:
        """Return the backbone, and then the heads, which see the regions that they are trained on.

        Hundreds of regions of an image go through the heads: a batch of the training has enough of them, and in a
        larger one there would be no memory for them.
        """
        detector = _mask_rcnn(network)
        objective = MaskObjective(detector, _AS_THEY_ARE, bf16=bf16)

        def ready(part: Originals) -> MaskedBatch:
            rng = np.random.default_rng(0)
            (batch,) = objective.ready([part], rng, num_images=part.num_images, first=0, processes=ALONE)
            return batch

        def run_backbone(part: Originals) -> object:
            return features_of(detector, ready(part).batch.images, bf16=bf16)

        def run_all(part: Originals) -> object:
            detector.backbone.eval()
            loss = objective.loss(detector, ready(part))
            detector.backbone.train()
            return loss

        heads = nn.ModuleList([detector.rpn, detector.roi_heads])
        return [
            StatisticsPass(detector.backbone, run_backbone),
            StatisticsPass(heads, run_all, in_large_batches=False),
        ]

    def metrics(self, network: nn.Module, data: OpenData, *, bf16: bool) -> dict[str, float]:
        """Return COCO's twelve figures of boxes, and those of masks."""
        scored, rows = data.scored, data.scored_rows
        found = detect_all_masks(_mask_rcnn(network), scored, rows, bf16=bf16)
        return score_masks(scored.annotations, masks_of(scored), rows, found, per_class=self._per_class)


def _mask_rcnn(network: nn.Module) -> MaskRCNN:
    if not isinstance(network, MaskRCNN):
        raise TypeError(f"expected a Mask R-CNN, got {type(network).__name__}")
    return network
