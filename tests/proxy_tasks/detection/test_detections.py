import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou, clip_boxes_to_image, nms

from proxy_tasks.detection.anchors import decode_boxes, encode_boxes, make_anchors
from proxy_tasks.detection.detections import detect
from proxy_tasks.networks.retinanet import RawDetections
from tests.proxy_tasks.conftest import WatchWaits

# tensorflow/tpu configs/spinenet.
MAX_CANDIDATES, MIN_SCORE, NMS_IOU, MAX_DETECTIONS = 5000, 0.05, 0.5, 100
SIZE = 64
ANCHORS = make_anchors((3, 4), SIZE, 3.0, torch.device("cpu"))


def raw(seed: int, num_images: int, num_classes: int, bias: float) -> RawDetections:
    generator = torch.Generator().manual_seed(seed)
    return RawDetections(
        torch.randn(num_images, len(ANCHORS), num_classes, generator=generator) * 2 + bias,
        torch.randn(num_images, len(ANCHORS), 4, generator=generator) / 4,
    )


@given(seed=st.integers(0, 2**31), bias=st.floats(-8, 1))
@settings(max_examples=20)
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


def test_only_the_best_candidates_of_an_image_are_looked_at() -> None:
    # All of one box: seven classes share the best candidates but one, which leaves one for the last two classes.
    logits = torch.full((1, len(ANCHORS), 9), -20.0)
    best = torch.arange(MAX_CANDIDATES - 1)
    logits[0, best // 7, best % 7] = 2.0
    logits[0, 0, 7:] = torch.tensor([1.0, 0.9])
    codes = encode_boxes(torch.tensor([8.0, 8.0, 40.0, 40.0]).expand(len(ANCHORS), 4), ANCHORS)[None]
    found = detect(RawDetections(logits, codes), ANCHORS, torch.full((1, 2), SIZE))
    assert sorted(found.labels.tolist()) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_each_class_may_have_candidates_of_its_own() -> None:
    # As above, where the last class finds nothing: here it does, and one class alone keeps to its best candidates.
    logits = torch.full((1, len(ANCHORS), 9), -20.0)
    best = torch.arange(MAX_CANDIDATES - 1)
    logits[0, best // 7, best % 7] = 2.0
    logits[0, 0, 7:] = torch.tensor([1.0, 0.9])
    codes = encode_boxes(torch.tensor([8.0, 8.0, 40.0, 40.0]).expand(len(ANCHORS), 4), ANCHORS)[None]
    sizes_px = torch.full((1, 2), SIZE)
    found = detect(RawDetections(logits, codes), ANCHORS, sizes_px, candidates_per_class=True)
    assert sorted(found.labels.tolist()) == list(range(9))

    # The last anchor of all, which has a box of its own, is candidate number 5,000 of its class, or one too many.
    anchors = make_anchors((1,), SIZE, 3.0, torch.device("cpu"))  # 9,216
    codes = encode_boxes(torch.tensor([8.0, 8.0, 40.0, 40.0]).expand(len(anchors), 4), anchors)
    codes[-1] = encode_boxes(torch.tensor([[50.0, 50.0, 60.0, 60.0]]), anchors[-1:])[0]
    for num_better, expected in ((MAX_CANDIDATES - 1, 2), (MAX_CANDIDATES, 1)):
        logits = torch.full((1, len(anchors), 2), -20.0)
        logits[0, :num_better, 1], logits[0, -1, 1] = 2.0, 1.0
        found = detect(RawDetections(logits, codes[None]), anchors, sizes_px, candidates_per_class=True)
        assert len(found.scores) == expected


@given(seed=st.integers(0, 2**31))
@settings(max_examples=10)
def test_where_candidates_are_few_it_is_all_the_same_whose_they_are(seed: int) -> None:
    given_raw, sizes_px = raw(seed, 3, 3, -4.0), torch.full((3, 2), SIZE)
    found = [detect(given_raw, ANCHORS, sizes_px, candidates_per_class=per_class) for per_class in (False, True)]
    # Equal scores may come in another order.
    rows = [sorted(torch.cat([column.reshape(len(one.image), -1) for column in one], 1).tolist()) for one in found]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(("score", "shift", "expected"), [(0.049, 40, 1), (0.051, 40, 2), (0.9, 10, 1), (0.9, 11, 2)])
def test_a_score_and_an_overlap_decide_what_is_found(score: float, shift: float, expected: int) -> None:
    # Boxes of 32 px: shifted by 10 they overlap by 22 / 42 = 0.52, by 11 by 21 / 43 = 0.49.
    boxes = torch.tensor([[0.0, 8.0, 32.0, 40.0], [shift, 8.0, shift + 32.0, 40.0]])
    logits = torch.full((1, len(ANCHORS), 1), -20.0)
    logits[0, :2, 0] = torch.logit(torch.tensor([0.95, score]))
    codes = torch.zeros(1, len(ANCHORS), 4)
    codes[0, :2] = encode_boxes(boxes, ANCHORS[:2])
    found = detect(RawDetections(logits, codes), ANCHORS, torch.full((1, 2), 2 * SIZE))
    assert len(found.scores) == expected


def test_detections_are_read_in_one_copy_that_changes_no_value() -> None:
    found = detect(raw(0, 2, 3, 2.0), ANCHORS, torch.full((2, 2), SIZE))
    for read, there in zip(found.on_cpu(), found, strict=True):
        assert read.dtype == there.dtype
        assert torch.equal(read, there)


@pytest.mark.gpu
def test_reading_detections_waits_for_the_gpu_once(watch_waits: WatchWaits) -> None:
    found = detect(raw(0, 2, 3, 2.0), ANCHORS, torch.full((2, 2), SIZE))
    there = type(found)(*(values.cuda() for values in found))
    watch_waits("warn")
    with pytest.warns(UserWarning, match="synchronizing") as waits:
        read = there.on_cpu()
    watch_waits("default")
    assert len(waits) == 1
    assert all(torch.equal(one, other) for one, other in zip(read, found, strict=True))
