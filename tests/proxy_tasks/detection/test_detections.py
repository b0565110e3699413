import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou, clip_boxes_to_image, nms

from proxy_tasks.detection.anchors import decode_boxes, make_anchors
from proxy_tasks.detection.detections import MAX_DETECTIONS, MIN_SCORE, NMS_IOU, detect
from proxy_tasks.networks.retinanet import RawDetections

SIZE = 64.0
ANCHORS = make_anchors((3, 4), int(SIZE), 3.0, torch.device("cpu"))


def raw(seed: int, num_images: int, num_classes: int, bias: float) -> RawDetections:
    generator = torch.Generator().manual_seed(seed)
    return RawDetections(
        torch.randn(num_images, len(ANCHORS), num_classes, generator=generator) * 2 + bias,
        torch.randn(num_images, len(ANCHORS), 4, generator=generator) / 4,
    )


@given(seed=st.integers(0, 2**31), bias=st.floats(-8, 1))
@settings(max_examples=20, deadline=None)
def test_batched_suppression_equals_one_image_and_class_at_a_time(seed: int, bias: float) -> None:
    given_raw = raw(seed, 3, 2, bias)
    sizes_px = torch.tensor([[SIZE, SIZE], [20.0, SIZE], [SIZE, 33.0]])
    found = detect(given_raw, ANCHORS, sizes_px)
    for image in range(3):
        expected = []
        height, width = sizes_px[image].tolist()
        boxes = clip_boxes_to_image(decode_boxes(given_raw.box_codes[image], ANCHORS), (height, width))
        for k in range(2):
            scores = given_raw.class_logits[image, :, k].sigmoid()
            is_kept = scores > MIN_SCORE
            kept = nms(boxes[is_kept], scores[is_kept], NMS_IOU)
            expected += [(s, k) for s in scores[is_kept][kept].tolist()]
        expected = sorted(expected, reverse=True)[:MAX_DETECTIONS]
        mine = found.image == image
        pairs = sorted(zip(found.scores[mine].tolist(), found.labels[mine].tolist(), strict=True), reverse=True)
        # The sigmoid of one number differs by a rounding between vectorised and single evaluation.
        assert [label for _, label in pairs] == [label for _, label in expected]
        assert [s for s, _ in pairs] == pytest.approx([s for s, _ in expected], abs=1e-6)


def test_detections_are_few_inside_the_image_and_do_not_overlap() -> None:
    found = detect(raw(0, 2, 3, 2.0), ANCHORS, torch.full((2, 2), SIZE))
    for image in range(2):
        mine = found.image == image
        assert 0 < mine.sum() <= MAX_DETECTIONS
        assert (found.scores[mine].diff() <= 0).all()
        for k in range(3):
            boxes = found.boxes_xyxy[mine & (found.labels == k)]
            # Boxes that lay outside the image have no area left: 0 / 0.
            assert (box_iou(boxes, boxes).nan_to_num(0).fill_diagonal_(0) <= NMS_IOU + 1e-6).all()
    assert (found.boxes_xyxy >= 0).all()
    assert (found.boxes_xyxy <= SIZE).all()


def test_nothing_is_found_where_no_score_is_high_enough() -> None:
    found = detect(raw(0, 2, 3, -50.0), ANCHORS, torch.full((2, 2), SIZE))
    assert [len(values) for values in found] == [0, 0, 0, 0]
