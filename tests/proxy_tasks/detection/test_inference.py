import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor, nn

from proxy_tasks.base import silent
from proxy_tasks.coco.cache import CachedSplit, cached_split
from proxy_tasks.detection.anchors import encode_boxes, make_anchors
from proxy_tasks.detection.inference import detect_all
from proxy_tasks.detection.scoring import ScoredBoxes, score
from proxy_tasks.networks.retinanet import RawDetections
from tests.proxy_tasks.coco.test_cache import write_coco

SIZE = 64
ANCHORS = make_anchors((3, 4), SIZE, 3.0, torch.device("cpu"))


class Finder(nn.Module):
    """Finds the same boxes, in pixels of the square, in every image."""

    def __init__(self, boxes_xyxy: list[list[float]], scores: list[float]) -> None:
        super().__init__()
        self.boxes_xyxy, self.scores = torch.tensor(boxes_xyxy), torch.tensor(scores)

    def forward(self, images: Tensor) -> RawDetections:
        logits = torch.full((len(images), len(ANCHORS), 2), -20.0)
        codes = torch.zeros(len(images), len(ANCHORS), 4)
        found = len(self.scores)
        logits[:, :found, 0] = torch.logit(self.scores)
        codes[:, :found] = encode_boxes(self.boxes_xyxy, ANCHORS[:found])
        return RawDetections(logits, codes)


def find(split: CachedSplit, boxes_xyxy: list[list[float]], scores: list[float]) -> ScoredBoxes:
    rows = np.arange(split.annotations.num_images)
    return detect_all(Finder(boxes_xyxy, scores), ANCHORS, split, rows, bf16=False)


def test_a_detection_ends_where_its_image_does_in_pixels_of_the_original(tmp_path: Path) -> None:
    # By hand: the short sides are rounded from 9.69 to 10 px, so each axis has a scale of its own.
    sizes = [(403, 61), (61, 403), (80, 80)]
    found = find(cached_split(write_coco(tmp_path, sizes), silent), [[-5.0, 0.0, 70.0, 70.0]], [0.9])
    assert found.rows.tolist() == [0, 1, 2]
    assert found.boxes_xyxy == pytest.approx(np.array([[0, 0, width, height] for width, height in sizes]), abs=1e-6)


def test_detections_are_clipped_to_their_image_before_they_suppress_each_other(tmp_path: Path) -> None:
    # In the square the two overlap by 32 * 16 / (32 * 56) = 0.29, in the image of 16 rows, and not of 64, entirely.
    split = cached_split(write_coco(tmp_path, [(128, 32), (64, 64)]), silent)
    found = find(split, [[8.0, 4.0, 40.0, 60.0], [8.0, 4.0, 40.0, 20.0]], [0.9, 0.8])
    assert found.rows.tolist() == [0, 1, 1]
    assert found.boxes_xyxy[0] == pytest.approx([16, 8, 80, 32], abs=1e-4)


def test_boxes_that_reach_into_the_padding_score_as_clipped_to_the_image(tmp_path: Path) -> None:
    key = write_coco(tmp_path, [(200, 40)])
    document = json.loads(key.annotation_file.read_text())
    document["annotations"][0] |= {"id": 1, "bbox": [20, 10, 100, 30], "area": 3000, "iscrowd": 0}
    key.annotation_file.write_text(json.dumps(document))
    split = cached_split(key, silent)

    # The image has 13 rows of the square: 10 * 13 / 40 = 3.25. The object ends with it, the detection at 25.
    found = find(split, [[6.4, 3.25, 38.4, 25.0]], [0.9])
    assert score(split.annotations, np.arange(1), found)["ap"] == pytest.approx(1, abs=1e-6)

    (box,) = found.boxes_xyxy
    result = {"image_id": 10, "category_id": 1, "bbox": [*box[:2], *(box[2:] - box[:2])], "score": 0.9}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(key.annotation_file))
        evaluation = COCOeval(truth, truth.loadRes([result]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1, abs=1e-6)
