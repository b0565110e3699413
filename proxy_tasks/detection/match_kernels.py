"""Triton kernels of the matching of anchors and boxes: overlaps are compared where they are computed, never written."""

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

# Numbers in kernels must be constants that Triton knows of.
_NO_BOX: Final = tl.constexpr(-1)
_ANCHORS_A_TILE = 1024


def match(
    anchors_xyxy: Tensor, boxes_xyxy: Tensor, labels: Tensor, image: Tensor, num_images: int, positive_iou: float
) -> Tensor:
    """Return what `match_anchors` does; the boxes of an image stand together, and images in order.

    Overlaps are computed in the order of operations, and with the rounding, of torch: among equal ones another would
    win.
    """
    num_anchors, num_boxes = len(anchors_xyxy), len(boxes_xyxy)
    num_tiles = triton.cdiv(num_anchors, _ANCHORS_A_TILE)
    device = image.device
    first_box = torch.searchsorted(image, torch.arange(num_images + 1, device=device))  # (B + 1,)
    matched = torch.empty((num_images, num_anchors), dtype=torch.int64, device=device)
    best_iou = torch.empty((num_boxes, num_tiles), device=device)
    best_anchor = torch.empty((num_boxes, num_tiles), dtype=torch.int32, device=device)
    claims = torch.empty(num_boxes, dtype=torch.int64, device=device)

    _match[(num_tiles, num_images)](
        anchors_xyxy,
        boxes_xyxy,
        labels,
        first_box,
        matched,
        best_iou,
        best_anchor,
        num_anchors,
        num_tiles,
        positive_iou,
        ANCHORS=_ANCHORS_A_TILE,
        enable_fp_fusion=False,
    )
    _claim[(num_boxes,)](best_iou, best_anchor, claims, num_tiles, TILES=triton.next_power_of_2(num_tiles))
    _put_claims[(num_boxes,)](labels, image, first_box, claims, matched, num_anchors)
    return matched


@triton.jit
def _match(
    anchors,
    boxes,
    labels,
    first_box,
    matched,
    best_iou,
    best_anchor,
    num_anchors,
    num_tiles,
    positive_iou,
    ANCHORS: tl.constexpr,
):
    """Store the box that overlaps each anchor of a tile most, by half or more; and each box's best anchor there."""
    tile, image = tl.program_id(0), tl.program_id(1)
    anchor = tile * ANCHORS + tl.arange(0, ANCHORS)
    is_anchor = anchor < num_anchors
    left = tl.load(anchors + anchor * 4, mask=is_anchor, other=0.0)
    top = tl.load(anchors + anchor * 4 + 1, mask=is_anchor, other=0.0)
    right = tl.load(anchors + anchor * 4 + 2, mask=is_anchor, other=0.0)
    bottom = tl.load(anchors + anchor * 4 + 3, mask=is_anchor, other=0.0)
    area = (right - left) * (bottom - top)

    most = tl.full((ANCHORS,), positive_iou, tl.float32)
    owner = tl.full((ANCHORS,), _NO_BOX, tl.int64)
    for box in range(tl.load(first_box + image), tl.load(first_box + image + 1)):
        x1, y1 = tl.load(boxes + box * 4), tl.load(boxes + box * 4 + 1)
        x2, y2 = tl.load(boxes + box * 4 + 2), tl.load(boxes + box * 4 + 3)
        width = tl.maximum(tl.minimum(x2, right) - tl.maximum(x1, left), 0.0)
        height = tl.maximum(tl.minimum(y2, bottom) - tl.maximum(y1, top), 0.0)
        shared = width * height
        iou = tl.div_rn(shared, tl.maximum((x2 - x1) * (y2 - y1) + area - shared, 1e-9))
        iou = tl.where(is_anchor, iou, -1.0)

        # The first box of equals wins, also where it overlaps by exactly a half.
        is_more = ((iou > most) | ((iou == most) & (owner < 0))) & (tl.load(labels + box) >= 0)
        most = tl.where(is_more, iou, most)
        owner = tl.where(is_more, box, owner)

        largest = tl.max(iou, 0)
        tl.store(best_iou + box * num_tiles + tile, largest)
        first = tl.min(tl.where(iou == largest, anchor, num_anchors), 0)
        tl.store(best_anchor + box * num_tiles + tile, first)
    tl.store(matched + image.to(tl.int64) * num_anchors + anchor, owner, mask=is_anchor)


@triton.jit
def _claim(best_iou, best_anchor, claims, num_tiles, TILES: tl.constexpr):
    """Store the first of the anchors that a box overlaps most."""
    box = tl.program_id(0)
    tile = tl.arange(0, TILES)
    is_tile = tile < num_tiles
    iou = tl.load(best_iou + box * num_tiles + tile, mask=is_tile, other=-2.0)
    anchor = tl.load(best_anchor + box * num_tiles + tile, mask=is_tile, other=0)
    is_best = iou == tl.max(iou, 0)
    tl.store(claims + box, tl.min(tl.where(is_best, anchor, 2147483647), 0).to(tl.int64))


@triton.jit
def _put_claims(labels, image, first_box, claims, matched, num_anchors):
    """Give each box the anchor that it claims, whatever the overlap; the first that claims it, where several do."""
    box = tl.program_id(0)
    own_image = tl.load(image + box)
    claim = tl.load(claims + box)
    is_first = (tl.load(labels + box) >= 0) & (claim < num_anchors)
    for other in range(tl.load(first_box + own_image), box):
        is_first = is_first & ((tl.load(claims + other) != claim) | (tl.load(labels + other) < 0))
    tl.store(matched + own_image * num_anchors + claim, box.to(tl.int64), mask=is_first)
