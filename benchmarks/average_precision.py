"""Speed of average precision, beside pycocotools.

python -m benchmarks.average_precision [rounds]

5,000 images with 7 objects each on average, 1 in 100 a crowd, 80 classes, and 100 detections an image: objects moved by
a few pixels, and boxes anywhere, with scores that often tie. Both sides start from the same arrays and end with COCO's
twelve figures, which must be equal. Turn and turn about; prints medians.
"""

import contextlib
import io
import statistics
import sys
import time

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.generated_coco import MEAN_BOXES, NUM_CLASSES, random_boxes
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.detection.scoring import METRIC_NAMES, ScoredBoxes, score

NUM_IMAGES, NUM_DETECTIONS = 5000, 100
GOAL = 50


def make_truth(rng: np.random.Generator) -> Annotations:
    counts = rng.geometric(1 / MEAN_BOXES, size=NUM_IMAGES)
    xywh = random_boxes(rng, int(counts.sum()))
    return Annotations(
        image_ids=np.arange(1, NUM_IMAGES + 1),
        file_names=tuple(f"{i}.jpg" for i in range(NUM_IMAGES)),
        sizes_px=np.full((NUM_IMAGES, 2), (480, 640)),
        first_box=np.concatenate(([0], np.cumsum(counts))),
        boxes_xywh=xywh,
        boxes_xyxy=np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1),
        labels=rng.integers(NUM_CLASSES, size=len(xywh)),
        is_crowd=rng.random(len(xywh)) < 0.01,
        areas=xywh[:, 2] * xywh[:, 3] * rng.uniform(0.4, 1, size=len(xywh)),  # a mask fills a part of its box
        category_ids=tuple(range(1, NUM_CLASSES + 1)),
        category_names=tuple(f"class {k}" for k in range(NUM_CLASSES)),
        repairs={},
    )


def make_detections(rng: np.random.Generator, truth: Annotations) -> ScoredBoxes:
    rows = np.repeat(np.arange(NUM_IMAGES), NUM_DETECTIONS)
    xywh = random_boxes(rng, len(rows))
    boxes = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)
    labels = rng.integers(NUM_CLASSES, size=len(rows))
    scores = rng.integers(5, 60, size=len(rows)) / 100

    # The first detections of an image are its objects, a little off.
    for row in range(NUM_IMAGES):
        mine = np.arange(truth.first_box[row], truth.first_box[row + 1])[:NUM_DETECTIONS]
        first = slice(row * NUM_DETECTIONS, row * NUM_DETECTIONS + len(mine))
        boxes[first] = truth.boxes_xyxy[mine] + rng.normal(0, 4, size=(len(mine), 4))
        labels[first] = truth.labels[mine]
        scores[first] += 0.4

    # A box that moved keeps an area.
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    return ScoredBoxes(rows, boxes, labels, scores)


def score_with_pycocotools(truth: Annotations, found: ScoredBoxes) -> list[float]:
    # Making a dictionary for each box is timed too, as pycocotools takes annotations in no other form. Ids begin at 1:
    # a match with id 0 counts as none there.
    sizes = truth.boxes_xyxy[:, 2:] - truth.boxes_xyxy[:, :2]
    columns = zip(
        np.repeat(truth.image_ids, np.diff(truth.first_box)).tolist(),
        truth.labels.tolist(),
        np.concatenate((truth.boxes_xyxy[:, :2], sizes), axis=1).tolist(),
        truth.areas.tolist(),
        truth.is_crowd.tolist(),
        strict=True,
    )
    annotations = [
        {"id": i + 1, "image_id": image, "category_id": label + 1, "bbox": box, "area": area, "iscrowd": int(crowd)}
        for i, (image, label, box, area, crowd) in enumerate(columns)
    ]

    coco = COCO()
    coco.dataset = {
        "images": [{"id": number} for number in truth.image_ids.tolist()],
        "annotations": annotations,
        "categories": [{"id": number} for number in truth.category_ids],
    }

    found_sizes = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
    detections = np.column_stack(
        (truth.image_ids[found.rows], found.boxes_xyxy[:, :2], found_sizes, found.scores, found.labels + 1)
    )

    # It prints as it goes.
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(detections.astype(np.float64)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def main() -> None:
    num_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rng = np.random.default_rng(0)
    truth = make_truth(rng)
    found = make_detections(rng, truth)

    # In turns, so that a machine that slows down slows both.
    our_seconds, their_seconds = [], []
    for _ in range(num_rounds):
        started = time.perf_counter()
        ours = score(truth, np.arange(NUM_IMAGES), found)
        our_seconds.append(time.perf_counter() - started)

        started = time.perf_counter()
        theirs = score_with_pycocotools(truth, found)
        their_seconds.append(time.perf_counter() - started)

    difference = max(abs(a - b) for a, b in zip(ours.values(), theirs, strict=True))
    for name, value in zip(METRIC_NAMES, theirs, strict=True):
        print(f"{name:<10} {ours[name]:.6f} {value:.6f}")

    ratio = statistics.median(their_seconds) / statistics.median(our_seconds)
    print(
        f"{NUM_IMAGES} images, {NUM_DETECTIONS} detections each: ours {statistics.median(our_seconds):.2f} s, "
        f"pycocotools {statistics.median(their_seconds):.1f} s: {ratio:.0f} times as fast; largest difference of the "
        f"twelve figures {difference:.1e}"
    )
    if ratio < GOAL or difference > 1e-9:
        sys.exit(f"error: the goal is {GOAL} times, and equal figures")


if __name__ == "__main__":
    main()
