"""The head that detects boxes: a RetinaNet, its anchors and loss, average precision, and the file of a detector."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.batch_reading import read_originals
from proxy_tasks.coco.open_data import open_data
from proxy_tasks.coco.originals import Originals
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.box_objective import BoxObjective
from proxy_tasks.detection.detector_file import save_detector
from proxy_tasks.detection.inference import detect_all
from proxy_tasks.detection.scoring import ScoredBoxes, score
from proxy_tasks.full_training.file_info import info_of
from proxy_tasks.full_training.head import Trained
from proxy_tasks.full_training.plan import TrainingPlan
from proxy_tasks.full_training.starting_weights import fill, read_start
from proxy_tasks.networks.layers import Reference
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.training.recipe import Recipe


class RetinaNetHead:
    """Boxes, a `Head`.

    Args:
        plan: what to train.

    Raises:
        InputError: the data cannot be used, or the weights to start from cannot be read.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self._plan = plan
        self.data = open_data(plan.data)
        self.start = None if plan.weights is None else read_start(plan.weights)
        self._reference: Reference = "tpu" if self.start is None else self.start.reference
        # What answers are read by stays that of the weights, so that a training begins at their AP.
        start = self.start if self.start is not None and self.start.head == "retinanet" else None
        self._counts_last_pixel = start is not None and start.counts_last_pixel
        self._candidates_per_class = start is not None and start.candidates_per_class

    @property
    def num_scored(self) -> int:
        """The number of boxes that AP is measured on."""
        return num_objects(self.data.scored.annotations, self.data.scored_rows)

    def build(self) -> nn.Module:
        """Return the network with the weights that it starts from; a detector with masks gives its backbone."""
        plan = self._plan
        network = build_detector(plan.architecture, plan.scale, self.data.num_classes, self._reference)
        if plan.weights is not None and self.start is not None:
            names = tuple(str(name) for name in self.data.train.annotations.category_names)
            fill(network, self.start, plan.weights, "retinanet", names)
        return network

    def objective(self, network: nn.Module, recipe: Recipe, *, bf16: bool) -> BoxObjective:
        """Return what the training minimises."""
        return BoxObjective(self._anchors(network), recipe, bf16=bf16)

    def batches(self, steps: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[Originals]:
        """Yield original images with their boxes."""
        return read_originals(self.data.train, steps, device)

    def find(self, network: nn.Module, rows: NDArray[np.int64], *, bf16: bool) -> ScoredBoxes:
        """Return the boxes that the network finds."""
        return detect_all(
            network,
            self._anchors(network),
            self.data.scored,
            rows,
            bf16=bf16,
            counts_last_pixel=self._counts_last_pixel,
            candidates_per_class=self._candidates_per_class,
        )

    def metrics(self, found: Sequence[ScoredBoxes]) -> dict[str, float]:
        """Return COCO's twelve figures."""
        return score(self.data.scored.annotations, self.data.scored_rows, ScoredBoxes.joined(found))

    def save(self, path: Path, trained: Trained) -> None:
        """Write a file of a detector."""
        info = info_of(
            self._plan,
            "retinanet",
            self.data,
            trained,
            reference=self._reference,
            counts_last_pixel=self._counts_last_pixel,
            candidates_per_class=self._candidates_per_class,
        )
        save_detector(path, info, raw=trained.raw, averaged=trained.averaged, inside=self._plan.run)

    def _anchors(self, network: nn.Module) -> Tensor:
        size_px, anchor_scale = self._plan.scale.image_size_px, self._plan.scale.anchor_scale
        device = next(network.parameters()).device
        return make_anchors(network.output_levels, size_px, anchor_scale, device)  # type: ignore[arg-type]  # of RetinaNet


def num_objects(annotations: Annotations, rows: NDArray[np.int64]) -> int:
    """Return the boxes of some images, without those around crowds."""
    spans = (slice(annotations.first_box[row], annotations.first_box[row + 1]) for row in rows)
    return sum(int((~annotations.is_crowd[span]).sum()) for span in spans)
