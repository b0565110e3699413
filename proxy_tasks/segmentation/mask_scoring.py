"""Average precision of masks, as COCO counts it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.masks import Masks
from proxy_tasks.coco.run_lengths import Rle, coco_rle, encode_mask
from proxy_tasks.detection.scoring import METRIC_NAMES, ScoredBoxes, ap_of_classes, compare, score, truth_of

MASK_METRIC_NAMES = tuple(f"mask_{name}" for name in METRIC_NAMES)
"""Names of the twelve figures of masks, beside those of boxes."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredMasks:
    """Detections with masks over a split, N in all.

    Attributes:
        boxes: their boxes, classes and scores.
        masks: (N) masks in pixels of the original image; each has one.
    """

    boxes: ScoredBoxes
    masks: Masks


def score_masks(
    annotations: Annotations, masks: Masks, rows: NDArray[np.int64], found: ScoredMasks, *, per_class: bool = False
) -> dict[str, float]:
    """Return COCO's twelve figures of boxes, and those of masks under `MASK_METRIC_NAMES`; see `score`.

    Args:
        annotations: the objects that are there.
        masks: theirs; an object without one is scored against as a box, and does not count among the masks.
        rows: the images to score on.
        found: the detections in these images.
        per_class: return AP of each class too, as `ap/` and `mask_ap/` and its name.
    """
    figures = score(annotations, rows, found.boxes, per_class=per_class)
    evaluation = compare(_truth(annotations, masks, rows), _results(annotations, rows, found), "segm")
    figures |= {name: float(value) for name, value in zip(MASK_METRIC_NAMES, evaluation.stats, strict=True)}
    if per_class:
        figures |= {f"mask_{name}": value for name, value in ap_of_classes(annotations, evaluation).items()}
    return figures


def _truth(annotations: Annotations, masks: Masks, rows: NDArray[np.int64]) -> dict[str, list[dict[str, Any]]]:
    """Return a COCO document of the objects of some images that have masks, each with its own."""
    document = truth_of(annotations, rows)
    numbers = [i for row in rows for i in range(annotations.first_box[row], annotations.first_box[row + 1])]
    has_mask = masks.has_mask
    objects = [
        {**one, "segmentation": coco_rle(masks.rle(i))}
        for one, i in zip(document["annotations"], numbers, strict=True)
        if has_mask[i]
    ]

    sizes_px = annotations.sizes_px[rows].tolist()
    images = [
        {**image, "height": height, "width": width}
        for image, (height, width) in zip(document["images"], sizes_px, strict=True)
    ]
    return {**document, "images": images, "annotations": objects}


def _results(annotations: Annotations, rows: NDArray[np.int64], found: ScoredMasks) -> list[dict[str, Any]]:
    """Return results of COCO's form, under the ids of `truth_of`."""
    boxes = found.boxes
    if not len(boxes.scores):
        # As for boxes: a mask without pixels matches nothing and changes no figure.
        height, width = annotations.sizes_px[rows[0]].tolist()
        nothing: Rle = {"size": (height, width), "counts": encode_mask(np.zeros((height, width), np.uint8))}
        return [{"image_id": int(rows[0]) + 1, "category_id": 1, "segmentation": coco_rle(nothing), "score": 0.0}]

    columns = zip(boxes.rows.tolist(), boxes.labels.tolist(), boxes.scores.tolist(), strict=True)
    return [
        {"image_id": row + 1, "category_id": label + 1, "segmentation": coco_rle(found.masks.rle(i)), "score": value}
        for i, (row, label, value) in enumerate(columns)
    ]
