"""The head that detects boxes with masks: a Mask R-CNN, torchvision's losses, average precision of boxes and masks."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.models.detection import MaskRCNN

from proxy_tasks.coco.batch_reading import read_originals
from proxy_tasks.coco.cache import masks_of
from proxy_tasks.coco.masks import Masks, num_scored_masks
from proxy_tasks.coco.open_data import open_data
from proxy_tasks.coco.originals import Originals
from proxy_tasks.detection.detector_file import save_detector
from proxy_tasks.detection.scoring import ScoredBoxes
from proxy_tasks.full_training.file_info import info_of
from proxy_tasks.full_training.head import Trained
from proxy_tasks.full_training.plan import TrainingPlan
from proxy_tasks.full_training.starting_weights import fill, read_start
from proxy_tasks.networks.layers import Reference
from proxy_tasks.networks.mask_rcnn import read_regions_as
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.networks.torchvision_backbone import REGION_SAMPLES
from proxy_tasks.segmentation.mask_inference import detect_all_masks
from proxy_tasks.segmentation.mask_objective import MaskObjective
from proxy_tasks.segmentation.mask_scoring import ScoredMasks, score_masks
from proxy_tasks.training.recipe import Recipe


class MaskRCNNHead:
    """Boxes with masks, a `Head`.

    Args:
        plan: what to train; its data has masks.

    Raises:
        InputError: the data cannot be used or has no mask to score on, or the weights to start from cannot be read.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self._plan = plan
        self.data = open_data(plan.data)
        self.start = None if plan.weights is None else read_start(plan.weights)
        self._reference: Reference = "tpu" if self.start is None else self.start.reference
        # Codes and regions stay read as those of the weights are, so that a training begins at their AP.
        start = self.start if self.start is not None and self.start.head == "mask_rcnn" else None
        self._counts_last_pixel = start is not None and start.counts_last_pixel
        self._region_samples = REGION_SAMPLES if start is None else start.region_samples

    @property
    def num_scored(self) -> int:
        """The number of masks that AP is measured on."""
        scored = self.data.scored
        return num_scored_masks(scored.annotations, masks_of(scored), self.data.scored_rows)

    def build(self) -> nn.Module:
        """Return the network with the weights that it starts from; one with another head gives its backbone."""
        plan = self._plan
        num_classes, reference = self.data.num_classes, self._reference
        network = build_network(
            plan.architecture, plan.scale, head="mask_rcnn", num_classes=num_classes, reference=reference
        )
        read_regions_as(network, counts_last_pixel=self._counts_last_pixel, region_samples=self._region_samples)
        if plan.weights is not None and self.start is not None:
            names = tuple(str(name) for name in self.data.train.annotations.category_names)
            fill(network, self.start, plan.weights, "mask_rcnn", names)
        return network

    def objective(self, network: nn.Module, recipe: Recipe, *, bf16: bool) -> MaskObjective:
        """Return what the training minimises."""
        if not isinstance(network, MaskRCNN):
            raise TypeError(f"expected a Mask R-CNN, got {type(network).__name__}")
        return MaskObjective(network, recipe, bf16=bf16)

    def batches(self, steps: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[Originals]:
        """Yield original images with their boxes and masks."""
        return read_originals(self.data.train, steps, device)

    def find(self, network: nn.Module, rows: NDArray[np.int64], *, bf16: bool) -> ScoredMasks:
        """Return the boxes and masks that the network finds."""
        return detect_all_masks(network, self.data.scored, rows, bf16=bf16)

    def metrics(self, found: Sequence[ScoredMasks]) -> dict[str, float]:
        """Return COCO's twelve figures of boxes, and those of masks."""
        joined = ScoredMasks(
            ScoredBoxes.joined([part.boxes for part in found]), Masks.joined([part.masks for part in found])
        )
        return score_masks(self.data.scored.annotations, masks_of(self.data.scored), self.data.scored_rows, joined)

    def save(self, path: Path, trained: Trained) -> None:
        """Write a file of a detector."""
        info = info_of(
            self._plan,
            "mask_rcnn",
            self.data,
            trained,
            reference=self._reference,
            counts_last_pixel=self._counts_last_pixel,
            region_samples=self._region_samples,
        )
        save_detector(path, info, raw=trained.raw, averaged=trained.averaged, inside=self._plan.run)
