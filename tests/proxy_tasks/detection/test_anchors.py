import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import box_iou

from proxy_tasks.detection.anchors import decode_boxes, encode_boxes, make_anchors, match_anchors

CPU = torch.device("cpu")


def random_boxes(generator: torch.Generator, *shape: int, size: float = 128.0) -> Tensor:
    corner = torch.rand(*shape, 2, generator=generator) * size * 0.7
    return torch.cat((corner, corner + 1 + torch.rand(*shape, 2, generator=generator) * size * 0.3), dim=-1)


def slow_match(anchors: Tensor, boxes: Tensor, labels: Tensor) -> list[int]:
    """One image, one anchor at a time, by the rule in words; the first box wins an anchor that several claim."""
    matched = [-1] * len(anchors)
    rows = [n for n in range(len(boxes)) if labels[n] >= 0]
    if not rows:
        return matched
    iou = box_iou(boxes[rows], anchors)
    for a, column in enumerate(iou.T.tolist()):
        if max(column) >= 0.5:
            matched[a] = rows[column.index(max(column))]
    for i in reversed(range(len(rows))):
        matched[int(iou[i].argmax())] = rows[i]
    return matched


def test_anchors_stand_in_the_reference_order() -> None:
    anchors = make_anchors((3, 4), 32, 3.0, CPU)
    assert anchors.shape == ((16 + 4) * 9, 4)
    # By hand: stride 8, scale 3, first octave: a 24 px square around (4, 4).
    assert anchors[0].tolist() == [-8.0, -8.0, 16.0, 16.0]
    # The second has width twice the height, of the same area.
    width, height = (anchors[1, 2:] - anchors[1, :2]).tolist()
    assert width == pytest.approx(2 * height)
    assert width * height == pytest.approx(24 * 24)
    # The third has it the other way round.
    assert (anchors[2, 2:] - anchors[2, :2]).tolist() == pytest.approx([height, width])
    # The fourth is the square of the second octave; the tenth moves one column on.
    assert (anchors[3, 2] - anchors[3, 0]).item() == pytest.approx(24 * 2 ** (1 / 3))
    assert (anchors[9] - anchors[0]).tolist() == [8.0, 0.0, 8.0, 0.0]
    assert (anchors[16 * 9, 2] - anchors[16 * 9, 0]).item() == 48.0


def test_anchors_cover_sizes_that_do_not_divide() -> None:
    assert len(make_anchors((3,), 36, 3.0, CPU)) == math.ceil(36 / 8) ** 2 * 9


@given(seed=st.integers(0, 2**31), counts=st.lists(st.integers(0, 6), min_size=1, max_size=4))
def test_batched_matching_equals_the_slow_one(seed: int, counts: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    anchors = make_anchors((3, 4, 5), 128, 3.0, CPU)
    image = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    boxes = random_boxes(generator, len(image))
    labels = torch.randint(-1, 2, (len(image),), generator=generator)
    if not len(image):
        image, boxes, labels = torch.zeros(1, dtype=torch.long), torch.zeros(1, 4), torch.tensor([-1])
    matched = match_anchors(anchors, boxes, labels, image, len(counts))
    assert matched.shape == (len(counts), len(anchors))
    for i in range(len(counts)):
        mine = torch.nonzero(image == i)[:, 0]
        expected = slow_match(anchors, boxes[mine], labels[mine])
        assert matched[i].tolist() == [int(mine[row]) if row >= 0 else -1 for row in expected]


def match_one_image(anchors: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
    return match_anchors(anchors, boxes, labels, torch.zeros(len(boxes), dtype=torch.long), 1)[0]


def test_the_first_of_two_boxes_that_claim_one_anchor_has_it() -> None:
    anchors = make_anchors((5,), 32, 3.0, CPU)
    boxes = torch.tensor([[10.0, 10.0, 12.0, 12.0], [14.0, 14.0, 15.0, 16.0]])
    claims = box_iou(boxes, anchors).argmax(dim=1).tolist()
    assert claims[0] == claims[1]
    assert match_one_image(anchors, boxes, torch.zeros(2, dtype=torch.long))[claims[0]] == 0


def test_the_first_of_two_equal_boxes_has_all_their_anchors() -> None:
    anchors = make_anchors((3, 4, 5), 64, 3.0, CPU)
    boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0]]).repeat(2, 1)
    assert set(match_one_image(anchors, boxes, torch.zeros(2, dtype=torch.long)).tolist()) == {-1, 0}


def test_an_image_without_boxes_is_all_background() -> None:
    anchors = make_anchors((3,), 64, 3.0, CPU)
    assert (match_one_image(anchors, torch.zeros(2, 4), torch.full((2,), -1)) == -1).all()


def test_a_box_smaller_than_every_anchor_still_gets_one() -> None:
    anchors = make_anchors((3, 4), 64, 3.0, CPU)
    matched = match_one_image(anchors, torch.tensor([[10.0, 10.0, 12.0, 12.0]]), torch.zeros(1, dtype=torch.long))
    assert (matched == 0).sum() == 1


@given(seed=st.integers(0, 2**31))
def test_decoding_inverts_encoding(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    boxes, anchors = random_boxes(generator, 20), random_boxes(generator, 20)
    # Float32 with coordinates up to 128: a hundredth of a pixel is 100 times the rounding.
    assert torch.allclose(decode_boxes(encode_boxes(boxes, anchors), anchors), boxes, atol=1e-2)


def test_box_codes_are_those_of_the_paper() -> None:
    # By hand: centre 8 right and 4 down of a 16 px anchor, twice as wide, half as high.
    anchor = torch.tensor([0.0, 0.0, 16.0, 16.0])
    box = torch.tensor([0.0, 8.0, 32.0, 16.0])
    expected = torch.tensor([4 / 16, 8 / 16, math.log(0.5), math.log(2.0)])
    assert torch.allclose(encode_boxes(box, anchor), expected)


def test_codes_that_count_the_last_pixel_are_of_sizes_one_pixel_larger() -> None:
    # By hand, after tensorflow/tpu box_utils.py: anchor of 24 px, box from 4 to 14, sizes 25 and 11, centres 12.5, 9.5.
    anchor = torch.tensor([0.0, 0.0, 24.0, 24.0])
    code = torch.tensor([(9.5 - 12.5) / 25, (9.5 - 12.5) / 25, math.log(11 / 25), math.log(11 / 25)])
    assert torch.allclose(decode_boxes(code, anchor, counts_last_pixel=True), torch.tensor([4.0, 4.0, 14.0, 14.0]))


def test_decoded_boxes_cannot_explode() -> None:
    code = torch.tensor([0.0, 0.0, 100.0, 100.0])
    box = decode_boxes(code, torch.tensor([0.0, 0.0, 2.0, 2.0]))
    # tensorflow/tpu box_utils.py BBOX_XFORM_CLIP: 1000 / 16 times the anchor.
    assert (box[2:] - box[:2]).tolist() == pytest.approx([2 * 1000 / 16] * 2)
