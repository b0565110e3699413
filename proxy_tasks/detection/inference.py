"""Detection over a split: the boxes that a trained network finds in each image, in pixels of the original."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from proxy_tasks.base import Report, silent
from proxy_tasks.coco.annotations import NO_CATEGORY, Annotations
from proxy_tasks.coco.batch_reading import read_batches
from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.detection.detections import MIN_SCORE, Detections, detect
from proxy_tasks.detection.scoring import ScoredBoxes

_BATCH_SIZE = 32


def detect_all(
    network: nn.Module,
    anchors_xyxy: Tensor,
    split: CachedSplit,
    rows: NDArray[np.int64],
    *,
    bf16: bool,
    labels_of_classes: NDArray[np.int64] | None = None,
    counts_last_pixel: bool = False,
    candidates_per_class: bool = False,
    report: Report = silent,
) -> ScoredBoxes:
    """Detect objects in some images of a split; the network is left in inference mode.

    Args:
        network: maps (B, 3, S, S) images to `RawDetections`.
        anchors_xyxy: (A, 4) the anchors that the network's outputs belong to, on its device.
        split: images of S px.
        rows: the images to look at.
        bf16: compute convolutions in bfloat16.
        labels_of_classes: (K,) the label in the split's annotations that each class of the network is, -1 for a class
            that is not looked for; None where the classes are the labels.
        counts_last_pixel: see `decode_boxes`.
        candidates_per_class: see `detect`.
        report: called after each batch of images.

    Raises:
        BadDataError: the images cannot be read.
    """
    device = anchors_xyxy.device
    if labels_of_classes is None:
        labels_of_classes = own_labels(split.annotations)
    unused_classes = np.flatnonzero(labels_of_classes < 0).tolist()
    chunks = [rows[start : start + _BATCH_SIZE] for start in range(0, len(rows), _BATCH_SIZE)]
    found_rows, boxes, labels, scores = [], [], [], []

    network.eval()
    num_done = 0
    for chunk, batch in zip(chunks, read_batches(split, chunks, device), strict=True):
        found = detect_batch(
            network,
            batch.images,
            batch.sizes_px,
            anchors_xyxy,
            unused_classes=unused_classes,
            bf16=bf16,
            counts_last_pixel=counts_last_pixel,
            candidates_per_class=candidates_per_class,
        ).on_cpu()

        # The network saw the image scaled; annotations are in pixels of the original.
        row_of_box = chunk[found.image.numpy()]
        found_rows.append(row_of_box)
        boxes.append(found.boxes_xyxy.numpy() / np.tile(split.scales_xy[row_of_box], 2))  # (N, 4)
        labels.append(labels_of_classes[found.labels.numpy()])
        scores.append(found.scores.numpy().astype(np.float64))
        num_done += len(chunk)
        report("looking at images", num_done, len(rows))

    return ScoredBoxes(
        rows=np.concatenate(found_rows),
        boxes_xyxy=np.concatenate(boxes),
        labels=np.concatenate(labels),
        scores=np.concatenate(scores),
    )


@torch.inference_mode()
def detect_batch(
    network: nn.Module,
    images: Tensor,
    sizes_px: Tensor,
    anchors_xyxy: Tensor,
    *,
    unused_classes: Sequence[int],
    bf16: bool,
    min_score: float = MIN_SCORE,
    counts_last_pixel: bool = False,
    candidates_per_class: bool = False,
) -> Detections:
    """Detect objects in a batch by a network in inference mode.

    Args:
        network: maps (B, 3, S, S) images to `RawDetections`.
        images: (B, 3, S, S) normalised.
        sizes_px: (B, 2) height and width of each image without its padding.
        anchors_xyxy: (A, 4) the anchors that the network's outputs belong to.
        unused_classes: classes that are not looked for.
        bf16: compute convolutions in bfloat16.
        min_score: boxes are kept whose score is above it.
        counts_last_pixel: see `decode_boxes`.
        candidates_per_class: see `detect`.
    """
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        raw = network(images)

    # A class that no category has can only be wrong.
    raw.class_logits[..., unused_classes] = -math.inf
    return detect(
        raw,
        anchors_xyxy,
        sizes_px,
        min_score=min_score,
        counts_last_pixel=counts_last_pixel,
        candidates_per_class=candidates_per_class,
    )


def own_labels(annotations: Annotations) -> NDArray[np.int64]:
    """Return (K,) the labels of annotations themselves, -1 where no category has one."""
    names = annotations.category_names
    return np.array([-1 if name == NO_CATEGORY else k for k, name in enumerate(names)], np.int64)
