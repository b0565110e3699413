"""Detection with masks: what a trained Mask R-CNN finds in images, in pixels of the original."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.roi_heads import maskrcnn_inference, paste_masks_in_image

from proxy_tasks.base import Report, silent
from proxy_tasks.coco.batch_reading import read_batches
from proxy_tasks.coco.batches import Batch
from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.coco.masks import Masks
from proxy_tasks.coco.run_lengths import encode_mask
from proxy_tasks.detection.detections import MIN_SCORE
from proxy_tasks.detection.inference import own_labels
from proxy_tasks.detection.scoring import ScoredBoxes
from proxy_tasks.segmentation.mask_scoring import ScoredMasks
from proxy_tasks.segmentation.regions import features_of, image_list, predicted_boxes, predicted_masks

_BATCH_SIZE = 8
"""Images that are looked at together: each has a thousand regions."""
_IS_MASK = 0.5


class FoundRegions(NamedTuple):
    """The N objects found in one image, best first, in the processor's memory.

    Attributes:
        boxes_xyxy: (N, 4) corners in pixels of the square.
        labels: (N,) class index.
        scores: (N,).
        masks: (N, 1, 28, 28) from 0 to 1, each over its box.
    """

    boxes_xyxy: Tensor
    labels: Tensor
    scores: Tensor
    masks: Tensor


def detect_all_masks(
    network: MaskRCNN,
    split: CachedSplit,
    rows: NDArray[np.int64],
    *,
    bf16: bool,
    labels_of_classes: NDArray[np.int64] | None = None,
    report: Report = silent,
) -> ScoredMasks:
    """Detect objects with masks in some images of a split; the network is left in inference mode.

    Args:
        network: torchvision's `MaskRCNN`.
        split: images of S px.
        rows: the images to look at, one or more.
        bf16: compute convolutions in bfloat16.
        labels_of_classes: (K,) the label in the split's annotations that each class of the network is, -1 for a class
            that is not looked for; None where the classes are the labels.
        report: called after each batch of images.

    Raises:
        BadDataError: the images cannot be read.
    """
    device = next(network.parameters()).device
    if labels_of_classes is None:
        labels_of_classes = own_labels(split.annotations)
    unused_classes = np.flatnonzero(labels_of_classes < 0).tolist()
    chunks = [rows[start : start + _BATCH_SIZE] for start in range(0, len(rows), _BATCH_SIZE)]
    boxes: list[ScoredBoxes] = []
    masks: list[Masks] = []

    network.eval()
    num_done = 0
    for chunk, batch in zip(chunks, read_batches(split, chunks, device), strict=True):
        for row, one in zip(
            chunk, detect_regions(network, batch, unused_classes=unused_classes, bf16=bf16), strict=True
        ):
            height, width = split.annotations.sizes_px[row].tolist()
            original_boxes = one.boxes_xyxy.double() / torch.from_numpy(np.tile(split.scales_xy[row], 2))
            masks.append(pasted_masks(one.masks, original_boxes, (height, width)))
            boxes.append(
                ScoredBoxes(
                    rows=np.full(len(one.labels), row),
                    boxes_xyxy=original_boxes.numpy(),
                    labels=labels_of_classes[one.labels.numpy()],
                    scores=one.scores.numpy().astype(np.float64),
                )
            )
        num_done += len(chunk)
        report("looking at images", num_done, len(rows))
    return ScoredMasks(ScoredBoxes.joined(boxes), Masks.joined(masks))


@torch.inference_mode()
def detect_regions(
    network: MaskRCNN, batch: Batch, *, unused_classes: Sequence[int], bf16: bool, min_score: float = MIN_SCORE
) -> list[FoundRegions]:
    """Return what a network in inference mode finds in each image of a batch.

    Args:
        network: torchvision's `MaskRCNN`.
        batch: the images; its boxes are not looked at.
        unused_classes: classes that are not looked for.
        bf16: compute convolutions in bfloat16.
        min_score: objects are found whose score is above it.

    Source: torchvision's `RoIHeads`; suppression at 0.5 and the best 100 of an image, as tensorflow/tpu has them.
    """
    features = features_of(network, batch.images, bf16=bf16)
    images = image_list(batch)
    proposals, _ = network.rpn(images, features)
    class_logits, box_codes = predicted_boxes(network, features, proposals, batch, bf16=bf16)

    # A class that no category has can only be wrong. Class 0 of the network is the background.
    class_logits[:, [k + 1 for k in unused_classes]] = -math.inf
    heads = network.roi_heads
    heads.score_thresh = min_score
    boxes, scores, labels = heads.postprocess_detections(class_logits, box_codes, proposals, images.image_sizes)
    logits = predicted_masks(network, features, boxes, batch, bf16=bf16)
    masks = maskrcnn_inference(logits, labels)

    parts = zip(boxes, labels, scores, masks, strict=True)
    return [FoundRegions(box.cpu(), label.cpu() - 1, score.cpu(), mask.cpu()) for box, label, score, mask in parts]


def pasted_masks(masks: Tensor, boxes_xyxy: Tensor, size_px: tuple[int, int]) -> Masks:
    """Return masks over their boxes as masks of an image of that height and width.

    Args:
        masks: (N, 1, 28, 28) from 0 to 1; what is above a half is of the object.
        boxes_xyxy: (N, 4) corners in pixels of the image.
        size_px: height and width.
    """
    counts = []
    for mask, box in zip(masks, boxes_xyxy, strict=True):
        # One by one: a hundred in an image of 12 megapixels together would take 5 GB.
        (pasted,) = paste_masks_in_image(mask[None], box[None].to(mask.dtype), size_px)
        counts.append(encode_mask(pasted[0].numpy() > _IS_MASK))
    return Masks.of(counts, np.tile(np.array(size_px), (len(counts), 1)))
