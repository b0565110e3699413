"""Detection over a split: the boxes that a trained network finds in each image, in pixels of the original."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from proxy_tasks.coco.annotations import NO_CATEGORY
from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.detection.batch_reading import read_batches
from proxy_tasks.detection.detections import detect
from proxy_tasks.detection.scoring import ScoredBoxes

_BATCH_SIZE = 32


def detect_all(
    network: nn.Module, anchors_xyxy: Tensor, split: CachedSplit, rows: NDArray[np.int64], *, bf16: bool
) -> ScoredBoxes:
    """Detect objects in some images of a split; the network is left in inference mode.

    Args:
        network: maps (B, 3, S, S) images to `RawDetections`.
        anchors_xyxy: (A, 4) the anchors that the network's outputs belong to, on its device.
        split: images of S px.
        rows: the images to look at.
        bf16: compute convolutions in bfloat16.

    Raises:
        BadDataError: the images cannot be read.
    """
    device = anchors_xyxy.device
    unused_classes = [k for k, name in enumerate(split.annotations.category_names) if name == NO_CATEGORY]
    chunks = [rows[start : start + _BATCH_SIZE] for start in range(0, len(rows), _BATCH_SIZE)]
    found_rows, boxes, labels, scores = [], [], [], []

    network.eval()
    with torch.inference_mode():
        for chunk, batch in zip(chunks, read_batches(split, chunks, device), strict=True):
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                raw = network(batch.images)

            # A class that no category has can only be wrong.
            raw.class_logits[..., unused_classes] = -math.inf
            found = detect(raw, anchors_xyxy, batch.sizes_px)

            # The network saw the image scaled; annotations are in pixels of the original.
            row_of_box = chunk[found.image.cpu().numpy()]
            found_rows.append(row_of_box)
            boxes.append(found.boxes_xyxy.cpu().numpy() / np.tile(split.scales_xy[row_of_box], 2))  # (N, 4)
            labels.append(found.labels.cpu().numpy())
            scores.append(found.scores.cpu().numpy().astype(np.float64))

    return ScoredBoxes(
        rows=np.concatenate(found_rows),
        boxes_xyxy=np.concatenate(boxes),
        labels=np.concatenate(labels),
        scores=np.concatenate(scores),
    )
