"""COCO's figures of masks: ours, by hotcoco or pycocotools, against pycocotools on documents that are written here."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.masks import Masks
from proxy_tasks.coco.run_lengths import encode_mask
from proxy_tasks.detection import scoring
from proxy_tasks.detection.scoring import METRIC_NAMES, ScoredBoxes, score
from proxy_tasks.segmentation.mask_scoring import MASK_METRIC_NAMES, ScoredMasks, score_masks
from tests.proxy_tasks.detection.test_scoring import random_detections, random_truth

SIDE = 256


def blob(rng: np.random.Generator, box: np.ndarray) -> bytes:
    """Return the run lengths of an ellipse in a box, some of it bitten off, empty where nothing is left."""
    x1, y1, x2, y2 = box
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    inside = ((x - (x1 + x2) / 2) / (x2 - x1)) ** 2 + ((y - (y1 + y2) / 2) / (y2 - y1)) ** 2 < 0.25
    return encode_mask(inside & (x < x1 + rng.uniform(0.5, 1.2) * (x2 - x1)))


def masks_of(rng: np.random.Generator, boxes: np.ndarray) -> Masks:
    return Masks.of([blob(rng, box) for box in boxes], np.full((len(boxes), 2), SIDE))


def oracle(truth: Annotations, masks: Masks, rows: np.ndarray, found: ScoredMasks) -> list[float]:
    """The twelve figures of pycocotools, from documents written here."""

    def rle(of: Masks, i: int) -> dict[str, Any]:
        return {"size": [SIDE, SIDE], "counts": of.rle(i)["counts"].decode()}

    annotations = [
        {
            "id": i + 1,
            "image_id": int(truth.image_ids[row]),
            "category_id": truth.category_ids[truth.labels[i]],
            "segmentation": rle(masks, i),
            "bbox": truth.boxes_xywh[i].tolist(),
            "area": truth.areas[i],
            "iscrowd": int(truth.is_crowd[i]),
        }
        for row in rows
        for i in range(truth.first_box[row], truth.first_box[row + 1])
        if masks.has_mask[i]
    ]
    boxes = found.boxes
    detections = [
        {
            "image_id": int(truth.image_ids[row]),
            "category_id": truth.category_ids[label],
            "segmentation": rle(found.masks, i),
            "score": value,
        }
        for i, (row, label, value) in enumerate(zip(boxes.rows, boxes.labels, boxes.scores, strict=True))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": int(truth.image_ids[row]), "height": SIDE, "width": SIDE} for row in rows],
            "annotations": annotations,
            "categories": [{"id": number, "name": str(number)} for number in truth.category_ids],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(detections), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def random_case(seed: int) -> tuple[Annotations, Masks, ScoredMasks]:
    rng = np.random.default_rng(seed)
    truth = random_truth(rng, 8, with_crowds=True)
    masks = masks_of(rng, truth.boxes_xyxy)
    boxes = random_detections(rng, truth, 3)
    return truth, masks, ScoredMasks(boxes, masks_of(rng, boxes.boxes_xyxy))


# pycocotools returns an array of C's own, which NumPy 2 asks for more.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("seed", range(4))
def test_figures_of_masks_are_those_of_pycocotools(seed: int) -> None:
    truth, masks, found = random_case(seed)
    rows = np.arange(truth.num_images)
    figures = score_masks(truth, masks, rows, found)
    expected = oracle(truth, masks, rows, found)
    assert [figures[name] for name in MASK_METRIC_NAMES] == pytest.approx(expected, abs=1e-6)
    assert {name: figures[name] for name in METRIC_NAMES} == score(truth, rows, found.boxes)
    assert 0.02 < figures["mask_ap"] < 0.98
    assert figures["mask_ap"] != figures["ap"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_other_library_gives_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, masks, found = random_case(7)
    rows = np.arange(truth.num_images)
    figures = score_masks(truth, masks, rows, found, per_class=True)
    monkeypatch.setattr(scoring, "COCO", COCO)
    monkeypatch.setattr(scoring, "COCOeval", COCOeval)
    assert score_masks(truth, masks, rows, found, per_class=True) == pytest.approx(figures, abs=1e-6)
    assert {"ap/a", "mask_ap/a"} <= set(figures)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_an_object_without_a_mask_counts_among_the_boxes_alone() -> None:
    truth, masks, found = random_case(3)
    counts = [masks.rle(i)["counts"] if i % 3 else b"" for i in range(len(truth.labels))]
    some = Masks.of(counts, masks.sizes_px)
    rows = np.arange(truth.num_images)
    figures = score_masks(truth, some, rows, found)
    expected = oracle(truth, some, rows, found)
    assert [figures[name] for name in MASK_METRIC_NAMES] == pytest.approx(expected, abs=1e-6)
    assert figures["ap"] == score(truth, rows, found.boxes)["ap"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("library", ["ours", "pycocotools"])
def test_without_detections_the_figures_of_what_is_there_are_zero(
    monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    if library == "pycocotools":
        monkeypatch.setattr(scoring, "COCO", COCO)
        monkeypatch.setattr(scoring, "COCOeval", COCOeval)
    truth, masks, _ = random_case(1)
    none = ScoredBoxes(np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))
    figures = score_masks(
        truth, masks, np.arange(truth.num_images), ScoredMasks(none, Masks.of([], np.zeros((0, 2), np.int64)))
    )
    assert figures["mask_ap"] == figures["mask_ap50"] == figures["ap"] == 0


def test_the_truth_found_with_its_own_masks_has_a_precision_of_one() -> None:
    rng = np.random.default_rng(5)
    truth = random_truth(rng, 8, with_crowds=False)
    masks = masks_of(rng, truth.boxes_xyxy)
    rows = np.repeat(np.arange(truth.num_images), np.diff(truth.first_box))
    boxes = ScoredBoxes(rows, truth.boxes_xyxy, truth.labels, np.ones(len(rows)))
    assert score_masks(truth, masks, np.arange(truth.num_images), ScoredMasks(boxes, masks))["mask_ap"] == 1
