import contextlib
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from proxy_tasks.coco.annotation_file import read_annotations
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.bad_entries import BadEntries
from proxy_tasks.detection import scoring
from proxy_tasks.detection.scoring import METRIC_NAMES, ScoredBoxes, score


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.integers(0, 150, size=(count, 2)).astype(float)
    return np.concatenate((corner, corner + rng.integers(2, 100, size=(count, 2))), axis=1)


def random_truth(rng: np.random.Generator, num_images: int, with_crowds: bool) -> Annotations:
    counts = rng.integers(0, 6, size=num_images)
    counts[rng.integers(num_images)] = 0
    num_boxes = int(counts.sum())
    boxes = random_boxes(rng, num_boxes)
    return Annotations(
        image_ids=np.sort(rng.choice(10_000, num_images, replace=False)),
        file_names=tuple(f"{i}.jpg" for i in range(num_images)),
        sizes_px=np.full((num_images, 2), 256),
        first_box=np.concatenate(([0], np.cumsum(counts))),
        boxes_xywh=np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1),
        boxes_xyxy=boxes,
        labels=rng.integers(0, 3, size=num_boxes),
        is_crowd=(rng.random(num_boxes) < 0.2) & with_crowds,
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) * rng.uniform(0.5, 1, size=num_boxes),
        category_ids=(3, 7, 90),
        category_names=("a", "b", "c"),
        repairs={},
    )


def random_detections(rng: np.random.Generator, truth: Annotations, num_a_image: int) -> ScoredBoxes:
    """Boxes near true ones and boxes anywhere, with many equal scores."""
    rows, boxes, labels = [], [], []
    for row in range(truth.num_images):
        mine = slice(truth.first_box[row], truth.first_box[row + 1])
        near = truth.boxes_xyxy[mine] + rng.normal(0, 4, size=truth.boxes_xyxy[mine].shape)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        anywhere = random_boxes(rng, num_a_image)
        boxes += [near, anywhere]
        labels += [truth.labels[mine], rng.integers(0, 3, size=num_a_image)]
        rows.append(np.full(len(near) + num_a_image, row))
    all_rows = np.concatenate(rows)
    scores = rng.integers(1, 10, size=len(all_rows)) / 10
    return ScoredBoxes(all_rows, np.concatenate(boxes), np.concatenate(labels), scores)


def oracle(truth: Annotations, rows: np.ndarray, found: ScoredBoxes) -> tuple[list[float], list[float]]:
    """The twelve figures of pycocotools and AP of each class, from documents written here."""
    annotations = [
        {
            "id": i + 1,
            "image_id": int(truth.image_ids[row]),
            "category_id": truth.category_ids[truth.labels[i]],
            "bbox": [*truth.boxes_xyxy[i, :2], *(truth.boxes_xyxy[i, 2:] - truth.boxes_xyxy[i, :2])],
            "area": truth.areas[i],
            "iscrowd": int(truth.is_crowd[i]),
        }
        for row in rows
        for i in range(truth.first_box[row], truth.first_box[row + 1])
    ]
    detections = [
        {
            "image_id": int(truth.image_ids[row]),
            "category_id": truth.category_ids[label],
            "bbox": [*box[:2], *(box[2:] - box[:2])],
            "score": value,
        }
        for row, box, label, value in zip(found.rows, found.boxes_xyxy, found.labels, found.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": int(truth.image_ids[row])} for row in rows],
            "annotations": annotations,
            "categories": [{"id": number, "name": str(number)} for number in truth.category_ids],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    per_class = []
    for k in range(len(truth.category_ids)):
        precision = evaluation.eval["precision"][:, :, k, 0, 2]
        per_class.append(float(precision[precision > -1].mean()) if (precision > -1).any() else -1.0)
    return [float(value) for value in evaluation.stats], per_class


@pytest.mark.parametrize(("side_px", "size"), [(20, "small"), (50, "medium"), (200, "large")])
def test_an_object_counts_in_the_figures_of_its_size(side_px: int, size: str) -> None:
    # COCO: small is below 32 x 32 pixels, large above 96 x 96.
    box = np.array([[0.0, 0.0, side_px, side_px]])
    truth = dataclasses.replace(
        random_truth(np.random.default_rng(0), 1, with_crowds=False),
        first_box=np.array([0, 1]),
        boxes_xywh=box,
        boxes_xyxy=box,
        labels=np.array([0]),
        is_crowd=np.array([False]),
        areas=np.array([side_px**2]),
    )
    figures = score(truth, np.array([0]), ScoredBoxes(np.array([0]), box, np.array([0]), np.array([0.9])))
    for one in ("small", "medium", "large"):
        expected = 1.0 if one == size else -1.0
        assert (figures[f"ap_{one}"], figures[f"ar_{one}"]) == pytest.approx((expected, expected))


@given(
    seed=st.integers(0, 2**31),
    num_images=st.integers(1, 6),
    num_a_image=st.sampled_from([0, 5, 130]),
    crowds=st.booleans(),
)
@settings(max_examples=30)
def test_figures_equal_those_of_pycocotools(seed: int, num_images: int, num_a_image: int, crowds: bool) -> None:
    rng = np.random.default_rng(seed)
    truth = random_truth(rng, num_images, crowds)
    found = random_detections(rng, truth, max(num_a_image, 1))
    rows = np.arange(num_images)
    metrics = score(truth, rows, found, per_class=True)
    assert tuple(metrics) == (*METRIC_NAMES, "ap/a", "ap/b", "ap/c")
    figures, of_classes = oracle(truth, rows, found)
    # Both compute the same sums in double precision, in another order.
    assert list(metrics.values()) == pytest.approx([*figures, *of_classes], abs=1e-9)
    assert score(truth, rows, found) == {name: metrics[name] for name in METRIC_NAMES}


@pytest.mark.parametrize("library", ["hotcoco", "pycocotools"])
def test_no_detection_at_all_scores_zero(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    if library == "pycocotools":
        monkeypatch.setattr(scoring, "COCO", COCO)
        monkeypatch.setattr(scoring, "COCOeval", COCOeval)
    truth = random_truth(np.random.default_rng(1), 4, with_crowds=False)
    nothing = ScoredBoxes(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    metrics = score(truth, np.arange(4), nothing)
    assert metrics["ap"] == 0.0
    assert set(metrics.values()) <= {0.0, -1.0}


def test_only_the_rows_asked_for_count() -> None:
    truth = random_truth(np.random.default_rng(2), 6, with_crowds=False)
    rows = np.array([row for row in range(6) if truth.first_box[row + 1] > truth.first_box[row]])[:2]
    spans = [np.arange(truth.first_box[row], truth.first_box[row + 1]) for row in rows]
    mine = np.concatenate(spans)
    perfect = ScoredBoxes(
        np.repeat(rows, [len(span) for span in spans]), truth.boxes_xyxy[mine], truth.labels[mine], np.ones(len(mine))
    )
    assert score(truth, rows, perfect)["ap50"] == 1.0
    assert score(truth, np.arange(6), perfect)["ar100"] < 1.0


@pytest.mark.parametrize("library", ["hotcoco", "pycocotools"])
def test_figures_equal_those_of_pycocotools_on_the_file_though_its_boxes_overhang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    if library == "pycocotools":
        monkeypatch.setattr(scoring, "COCO", COCO)
        monkeypatch.setattr(scoring, "COCOeval", COCOeval)
    rng = np.random.default_rng(5)
    size, per_image, num_images = 40, 25, 80
    for i in range(num_images):
        Image.new("RGB", (size, size)).save(tmp_path / f"{i}.png")
    images = [{"id": i, "file_name": f"{i}.png", "width": size, "height": size} for i in range(num_images)]

    # Small boxes of which many reach up to a pixel beyond an edge, some lie beyond it, and two have no area.
    boxes = np.concatenate(
        (rng.uniform(-1, 38, (num_images * per_image, 2)), rng.uniform(1, 6, (num_images * per_image, 2))), 1
    )
    boxes[:, 2:] = np.minimum(boxes[:, 2:], size + 1 - boxes[:, :2])
    boxes[:20] = [size + 0.1, 5, 0.8, 6]
    boxes[-2:, 2] = 0
    annotations = [
        {
            "id": i + 1,
            "image_id": i // per_image,
            "category_id": 1 + i % 2,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
        }
        for i, box in enumerate(boxes.tolist())
    ]
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))

    # Detections are inside the image, as a network's are.
    truth = read_annotations(path, tmp_path, BadEntries(tmp_path / "bad.txt"))
    found_boxes = np.clip(truth.boxes_xyxy + rng.normal(0, 0.3, truth.boxes_xyxy.shape), 0, size)
    found_boxes[:, 2:] = np.maximum(found_boxes[:, 2:], found_boxes[:, :2] + 0.1)
    rows = np.arange(len(boxes)) // per_image
    found = ScoredBoxes(rows, found_boxes, truth.labels, rng.random(len(boxes)))
    ours = score(truth, np.arange(num_images), found)

    results = [
        {
            "image_id": int(row),
            "category_id": int(label) + 1,
            "bbox": [*box[:2], *(box[2:] - box[:2])],
            "score": value,
        }
        for row, box, label, value in zip(found.rows, found.boxes_xyxy, found.labels, found.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert list(ours.values()) == pytest.approx([float(value) for value in evaluation.stats], abs=1e-6)
