"""Average precision of detections, as COCO counts it."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from proxy_tasks.coco.annotations import NO_CATEGORY, Annotations

try:
    from hotcoco import COCO, COCOeval
except ImportError:  # no build for this platform; the same twelve numbers, many times slower
    from pycocotools.coco import COCO  # type: ignore[no-redef]  # the same interface
    from pycocotools.cocoeval import COCOeval  # type: ignore[no-redef]  # the same interface

METRIC_NAMES = (
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip

Overlap: TypeAlias = Literal["bbox", "segm"]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredBoxes:
    """Detections over a split, N in all.

    Attributes:
        rows: (N,) index of the image in the annotations.
        boxes_xyxy: (N, 4) corners in pixels of the original image.
        labels: (N,) class index.
        scores: (N,).
    """

    rows: NDArray[np.int64]
    boxes_xyxy: NDArray[np.float64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return several, one or more, as one."""
        return cls(
            rows=np.concatenate([part.rows for part in parts]),
            boxes_xyxy=np.concatenate([part.boxes_xyxy for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
        )


def score(
    annotations: Annotations, rows: NDArray[np.int64], found: ScoredBoxes, *, per_class: bool = False
) -> dict[str, float]:
    """Return COCO's twelve figures over the images `rows`, fractions in [0, 1].

    A figure that has no object to count, as AP of large objects where there are none, is -1, as COCO has it. Without
    any detection those that have objects are 0.

    Args:
        annotations: the objects that are there; their boxes count as in the file, also where they leave the image.
        rows: the images to score on.
        found: the detections in these images.
        per_class: return AP of each class too, as `ap/` and its name, with its id where names repeat.
    """
    evaluation = compare(truth_of(annotations, rows), _results(annotations, rows, found), "bbox")
    figures = {name: float(value) for name, value in zip(METRIC_NAMES, evaluation.stats, strict=True)}
    if per_class:
        figures |= ap_of_classes(annotations, evaluation)
    return figures


def compare(
    truth: dict[str, list[dict[str, Any]]], results: NDArray[np.float64] | list[dict[str, Any]], by: Overlap
) -> COCOeval:
    """Return COCO's evaluation of results, with its figures, by the overlap of boxes or of masks.

    Args:
        truth: a COCO document.
        results: rows as `loadRes` takes them, or results of COCO's form; one at least.
        by: what overlaps.
    """
    document = COCO()
    document.dataset = truth

    # pycocotools prints as it goes; hotcoco's summarize does too.
    with contextlib.redirect_stdout(io.StringIO()):
        document.createIndex()
        evaluation = COCOeval(document, document.loadRes(results), by)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def ap_of_classes(annotations: Annotations, evaluation: COCOeval) -> dict[str, float]:
    """Return AP of each class, as COCO averages it: over thresholds and recalls, for objects of all sizes."""
    # (thresholds, recalls, classes, sizes, most detections); -1 where a class has no object.
    accumulated: dict[str, Any] = evaluation.eval or {}
    precision = np.asarray(accumulated["precision"])[:, :, :, 0, -1].mean(axis=(0, 1))  # (K,)

    names = annotations.category_names
    figures = {}
    for number, name, ap in zip(annotations.category_ids, names, precision, strict=True):
        if name != NO_CATEGORY:
            figures[f"ap/{name}" if names.count(name) == 1 else f"ap/{name} {number}"] = float(ap)
    return figures


def truth_of(annotations: Annotations, rows: NDArray[np.int64]) -> dict[str, list[dict[str, Any]]]:
    """Return a COCO document of some images: ids are indices of images and classes, counted from 1."""
    # Ids begin at 1: pycocotools takes a match with id 0 for none.
    boxes: list[dict[str, Any]] = []
    for row in rows:
        for i in range(annotations.first_box[row], annotations.first_box[row + 1]):
            boxes.append(
                {
                    "id": len(boxes) + 1,
                    "image_id": int(row) + 1,
                    "category_id": int(annotations.labels[i]) + 1,
                    "bbox": annotations.boxes_xywh[i].tolist(),
                    "area": float(annotations.areas[i]),
                    "iscrowd": int(annotations.is_crowd[i]),
                }
            )

    return {
        "images": [{"id": int(row) + 1} for row in rows],
        "annotations": boxes,
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(annotations.category_names)],
    }


def _results(annotations: Annotations, rows: NDArray[np.int64], found: ScoredBoxes) -> NDArray[np.float64]:
    """Return (N, 7): image id, x, y, width, height, score, category id.

    Ids are indices of images and classes counted from 1: the file's own may be too large for floating point.
    """
    if not len(found.scores):
        # Neither library takes an empty list everywhere; a box without area matches nothing and changes no figure.
        return np.array([[rows[0] + 1, 0, 0, 0, 0, 0, 1]], np.float64)

    sizes = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
    columns = (found.rows + 1, found.boxes_xyxy[:, :2], sizes, found.scores, found.labels + 1)
    return np.column_stack(columns).astype(np.float64)
