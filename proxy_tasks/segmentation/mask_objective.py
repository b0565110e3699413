"""The objective of a Mask R-CNN: images augmented with their boxes and masks, and torchvision's losses."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.roi_heads import fastrcnn_loss, maskrcnn_loss

from proxy_tasks.coco.batches import Batch
from proxy_tasks.coco.originals import Originals
from proxy_tasks.detection.augment import draw_augmentation
from proxy_tasks.detection.augment_originals import augment_originals
from proxy_tasks.segmentation.augment_masks import augment_masks
from proxy_tasks.segmentation.regions import Features, features_of, image_list, predicted_boxes, predicted_masks
from proxy_tasks.segmentation.seeded_sampler import SeededSampler
from proxy_tasks.training.processes import Processes
from proxy_tasks.training.recipe import Recipe


class MaskedBatch(NamedTuple):
    """Images of a step as the network takes them.

    Attributes:
        batch: images in squares, with their boxes.
        masks: of each image's boxes, (its N, S, S) ones and zeros.
        seeds: (2, B) of what is sampled in each image, among its anchors and among its proposals.
        share: of this part in the images of the step, over all processes that take a part at the same time.
        processes: those processes.
    """

    batch: Batch
    masks: list[Tensor]
    seeds: list[list[int]]
    share: float
    processes: Processes


class MaskObjective:
    """The losses of torchvision's Mask R-CNN, an `Objective` of original images with masks.

    Each loss is a mean over what is sampled: anchors, proposals, and positive proposals. Over processes these are means
    over what all of them sample; over parts that a process takes one after the other they are means of each part, in
    the proportion of its images.

    Args:
        network: it, on its device; its two samplers become seeded ones.
        recipe: how images are augmented; see `Recipe`.
        bf16: compute the convolutions of backbone, box head and mask head in bfloat16.

    Source: Mask R-CNN (arXiv 1703.06870), as torchvision has it.
    """

    def __init__(self, network: MaskRCNN, recipe: Recipe, *, bf16: bool) -> None:
        self._flip, self._jitter = recipe.flip, recipe.jitter
        self._bf16 = bf16
        self._anchors = SeededSampler.around(network.rpn.fg_bg_sampler)
        self._proposals = SeededSampler.around(network.roi_heads.fg_bg_sampler)
        network.rpn.fg_bg_sampler = self._anchors
        network.roi_heads.fg_bg_sampler = self._proposals

    def ready(
        self,
        parts: Sequence[Originals],
        rng: np.random.Generator,
        *,
        num_images: int,
        first: int,
        processes: Processes,
    ) -> list[MaskedBatch]:
        """Return the parts augmented, as they would be in one batch, with seeds for what is sampled in each image."""
        drawn = draw_augmentation(rng, num_images)  # (4, images of the step)
        seeds = rng.integers(2**63, size=(2, num_images))

        prepared = []
        for part in parts:
            own = slice(first, first + part.num_images)
            batch = augment_originals(part, drawn[:, own], flip=self._flip, jitter=self._jitter)
            masks = augment_masks(part, drawn[:, own], flip=self._flip, jitter=self._jitter)
            together = processes.sum(torch.tensor(part.num_images, device=batch.images.device))
            prepared.append(MaskedBatch(batch, masks, seeds[:, own].tolist(), int(together) / num_images, processes))
            first += part.num_images
        return prepared

    def loss(self, network: nn.Module, part: MaskedBatch) -> Tensor:
        """Return what a part adds to the loss of the batch."""
        return self._loss(network, part)

    def recorded(self, network: nn.Module, parameters: list[nn.Parameter]) -> None:
        """Return None: the number of proposals differs from step to step, and a recorded graph has fixed sizes."""

    def _loss(self, network: MaskRCNN, part: MaskedBatch) -> Tensor:
        targets = _targets(part)
        self._anchors.seed(part.seeds[0])
        self._proposals.seed(part.seeds[1])

        features = features_of(network, part.batch.images, bf16=self._bf16)
        proposals, of_proposals = network.rpn(image_list(part.batch), features, targets)
        proposals, matched, labels, codes = network.roi_heads.select_training_samples(proposals, targets)

        # Each loss is a mean over this process's samples; in these shares they add up to means over all.
        counts = (self._anchors.num_sampled, self._proposals.num_sampled, self._proposals.num_positive)
        own = torch.tensor(counts, dtype=torch.float64, device=part.batch.images.device)
        total = part.processes.sum(own.clone())
        shares = own / total.clamp(min=1)

        class_logits, box_codes = predicted_boxes(network, features, proposals, part.batch, bf16=self._bf16)
        of_classes, of_boxes = fastrcnn_loss(class_logits, box_codes, labels, codes)
        loss = shares[0] * sum(of_proposals.values()) + shares[1] * (of_classes + of_boxes)
        if total[2] > 0:
            loss = loss + shares[2] * self._mask_loss(network, features, part, targets, proposals, matched, labels)
        whole: Tensor = loss * part.share
        return whole

    def _mask_loss(
        self,
        network: MaskRCNN,
        features: Features,
        part: MaskedBatch,
        targets: list[dict[str, Tensor]],
        proposals: list[Tensor],
        matched: list[Tensor],
        labels: list[Tensor],
    ) -> Tensor:
        """Return the loss of the masks of positive proposals; of this process's there may be none."""
        positive = [own > 0 for own in labels]
        regions = [own[chosen] for own, chosen in zip(proposals, positive, strict=True)]
        objects = [own[chosen] for own, chosen in zip(matched, positive, strict=True)]

        logits = predicted_masks(network, features, regions, part.batch, bf16=self._bf16)
        masks, classes = ([target[name] for target in targets] for name in ("masks", "labels"))
        loss: Tensor = maskrcnn_loss(logits, regions, masks, classes, objects)
        return loss


def _targets(part: MaskedBatch) -> list[dict[str, Tensor]]:
    """Return the objects of each image in torchvision's form, without entries that are none."""
    batch, targets = part.batch, []
    for i, masks in enumerate(part.masks):
        is_own = batch.image == i
        is_object = batch.labels[is_own] >= 0
        targets.append(
            {
                "boxes": batch.boxes_xyxy[is_own][is_object],
                # To torchvision class 0 is the background.
                "labels": batch.labels[is_own][is_object] + 1,
                "masks": masks[is_object],
            }
        )
    return targets
