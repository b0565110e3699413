import math

import pytest
import torch

from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.anchors import encode_boxes, make_anchors, match_anchors
from proxy_tasks.detection.losses import detection_loss, match_batch
from proxy_tasks.networks.retinanet import RawDetections

ANCHORS = make_anchors((3,), 32, 3.0, torch.device("cpu"))
NUM_CLASSES = 2


def batch(boxes: list[list[float]], labels: list[int]) -> Batch:
    image = torch.zeros(len(labels), dtype=torch.long)
    return Batch(torch.zeros(1, 3, 32, 32), torch.full((1, 2), 32.0), torch.tensor(boxes), torch.tensor(labels), image)


def match(given: Batch) -> torch.Tensor:
    return match_anchors(ANCHORS, given.boxes_xyxy, given.labels, given.image, 1)[0]


def loss_of(raw: RawDetections, given: Batch) -> float:
    matched = match_batch(given, ANCHORS)
    return detection_loss(raw, given, ANCHORS, matched, (matched >= 0).sum()).item()


def slow_loss(raw: RawDetections, given: Batch) -> float:
    """The losses of tensorflow/tpu configs/spinenet, one anchor at a time."""
    matched = match(given).tolist()
    num_positive = sum(m >= 0 for m in matched)
    total: float = 0.0
    for a, row in enumerate(matched):
        for k in range(NUM_CLASSES):
            p = torch.sigmoid(raw.class_logits[0, a, k]).item()
            is_target = row >= 0 and given.labels[row].item() == k
            p_t, alpha_t = (p, 0.25) if is_target else (1 - p, 0.75)
            total -= alpha_t * (1 - p_t) ** 1.5 * math.log(p_t)
        if row >= 0:
            code = encode_boxes(given.boxes_xyxy[row], ANCHORS[a])
            for error in (raw.box_codes[0, a] - code).abs().tolist():
                huber = 0.5 * error**2 if error <= 0.1 else 0.1 * (error - 0.05)
                total += 50 * huber / 4
    return float(total / (num_positive + 1))


@pytest.mark.parametrize(
    ("boxes", "labels"),
    [
        ([[2.0, 2.0, 26.0, 26.0]], [1]),
        ([[0.0, 0.0, 20.0, 30.0], [8.0, 8.0, 32.0, 32.0]], [0, 1]),
        ([[0.0, 0.0, 24.0, 24.0]], [1]),
        ([[0.0, 0.0, 0.0, 0.0]], [-1]),
    ],
    ids=["one box", "two boxes", "a box that is an anchor", "no box"],
)
def test_loss_equals_the_slow_one(boxes: list[list[float]], labels: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    raw = RawDetections(
        torch.randn(1, len(ANCHORS), NUM_CLASSES, generator=generator),
        torch.randn(1, len(ANCHORS), 4, generator=generator) / 2,
    )
    given = batch(boxes, labels)
    # Sums of some hundred float32 terms.
    assert loss_of(raw, given) == pytest.approx(slow_loss(raw, given), rel=1e-4)


def test_a_target_of_exactly_zero_is_learnt_like_any_other() -> None:
    # The box is the 24 px anchor around (12, 12) but for its left edge, 2 px further in: its height and its place in y
    # are the anchor's. By hand: off by 1 px of 24 in x, and by log(22 / 24) in width.
    given = batch([[2.0, 0.0, 24.0, 24.0]], [1])
    anchor = ANCHORS.tolist().index([0.0, 0.0, 24.0, 24.0])
    codes = encode_boxes(given.boxes_xyxy[0].expand(len(ANCHORS), 4), ANCHORS)[None]
    assert codes[0, anchor].tolist() == pytest.approx([0, 1 / 24, 0, math.log(22 / 24)])

    losses = []
    for i in range(4):
        changed = codes.clone()
        changed[0, anchor, i] += 5.0
        raw = RawDetections(torch.zeros(1, len(ANCHORS), NUM_CLASSES), changed)
        losses.append(loss_of(raw, given))
    assert losses == pytest.approx([losses[0]] * 4)
    assert losses[0] > loss_of(raw._replace(box_codes=codes), given)


def test_perfect_detections_cost_almost_nothing() -> None:
    given = batch([[2.0, 2.0, 26.0, 26.0]], [1])
    matched = match(given)
    logits = torch.full((1, len(ANCHORS), NUM_CLASSES), -12.0)
    logits[0, matched >= 0, 1] = 12.0
    codes = encode_boxes(given.boxes_xyxy[0].expand(len(ANCHORS), 4), ANCHORS)[None]
    assert loss_of(RawDetections(logits, codes), given) < 1e-3
