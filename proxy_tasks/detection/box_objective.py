"""The objective of a RetinaNet: images augmented with their boxes, anchors matched, focal loss and Huber loss."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from proxy_tasks.coco.batches import Batch
from proxy_tasks.coco.originals import Originals
from proxy_tasks.detection.augment import augment, draw_augmentation
from proxy_tasks.detection.augment_originals import augment_originals
from proxy_tasks.detection.graphed_gradients import REPLAYED, GraphedGradients, Launch
from proxy_tasks.detection.losses import MatchedBatch, detection_loss, match_batch
from proxy_tasks.training.processes import Processes
from proxy_tasks.training.recipe import Recipe


class BoxObjective:
    """The loss of a RetinaNet, an `Objective` of squares or of original images that are scaled here.

    Args:
        anchors_xyxy: (A, 4) the anchors that the network's outputs belong to, on its device.
        recipe: how images are augmented; see `Recipe`.
        bf16: compute convolutions in bfloat16.
        launch: the way in which a step is launched that one GPU takes alone.
    """

    def __init__(self, anchors_xyxy: Tensor, recipe: Recipe, *, bf16: bool, launch: Launch = REPLAYED) -> None:
        self._anchors_xyxy = anchors_xyxy
        self._flip, self._jitter = recipe.flip, recipe.jitter
        self._bf16 = bf16
        self._launch = launch

    def ready(
        self,
        parts: Sequence[Batch | Originals],
        rng: np.random.Generator,
        *,
        num_images: int,
        first: int,
        processes: Processes,
    ) -> list[MatchedBatch]:
        """Return the parts augmented, as they would be in one batch, with the boxes that their anchors are to find."""
        drawn = draw_augmentation(rng, num_images)  # (4, images of the step)

        augmented = []
        for part in parts:
            own = drawn[:, first : first + part.num_images]
            if isinstance(part, Originals):
                augmented.append(augment_originals(part, own, flip=self._flip, jitter=self._jitter))
            else:
                augmented.append(augment(part, own, flip=self._flip, jitter=self._jitter))
            first += part.num_images

        # The loss of each part is divided by the number of positive anchors of all, so that has to be known first.
        matched = [match_batch(part, self._anchors_xyxy) for part in augmented]
        num_positive = processes.sum(torch.stack([(m >= 0).sum() for m in matched]).sum())
        return [MatchedBatch(part, m, num_positive) for part, m in zip(augmented, matched, strict=True)]

    def loss(self, network: nn.Module, part: MatchedBatch) -> Tensor:
        """Return what a part adds to the loss of the batch."""
        # Convolutions alone may be in bfloat16; the loss is computed in float32.
        with torch.autocast(self._anchors_xyxy.device.type, torch.bfloat16, enabled=self._bf16):
            raw = network(part.batch.images)
        return detection_loss(raw, part.batch, self._anchors_xyxy, part.matched, part.num_positive)

    def recorded(self, network: nn.Module, parameters: list[nn.Parameter]) -> GraphedGradients:
        """Return what takes the gradients of whole steps on one GPU."""
        return GraphedGradients(network, parameters, self._anchors_xyxy, bf16=self._bf16, launch=self._launch)
