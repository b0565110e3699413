"""Suppression of boxes that overlap a better one of their group, for groups in any number."""

from itertools import accumulate

import torch
from torch import Tensor
from torchvision.ops import batched_nms, nms

_FEW = {"cpu": 1_000, "cuda": 25_000}
"""Most boxes that torchvision takes in one call, whatever their groups; of more it calls once a group."""
_AT_ONCE = {"cpu": 256, "cuda": 25_000}
"""Most boxes of several groups in one call here, which compares each box with each other.

On a CPU comparisons cost more than calls from a few hundred boxes on. On CUDA a call waits for the device, and its
table of who overlaps whom, a bit a pair, takes 78 MB for 25,000 boxes.
"""


def suppress(boxes_xyxy: Tensor, scores: Tensor, groups: Tensor, max_iou: float) -> Tensor:
    """Return the boxes that overlap no better one of their group, best first, as torchvision's `batched_nms` does.

    Where that calls once a group, and looks through all boxes for each, boxes are sorted by group here, and as many
    groups as are compared fast together share a call.

    Args:
        boxes_xyxy: (N, 4) float64 corners in pixels, 0 or more.
        scores: (N,) float64.
        groups: (N,) index of the group that each box is in; boxes of two groups do not suppress each other.
        max_iou: largest overlap with a better box that is kept.

    Returns:
        (M,) indices of the boxes that are kept.
    """
    device = boxes_xyxy.device.type
    if len(boxes_xyxy) <= _FEW[device]:
        few: Tensor = batched_nms(boxes_xyxy, scores, groups, max_iou)
        return few

    order = torch.argsort(groups, stable=True)  # (N,)
    sorted_boxes, sorted_scores = boxes_xyxy[order], scores[order]
    _, rank, counts = torch.unique_consecutive(groups[order], return_inverse=True, return_counts=True)  # (N,), (G,)

    is_kept = torch.zeros_like(scores, dtype=torch.bool)
    start = 0
    for sizes in _parts(counts.tolist(), _AT_ONCE[device]):
        mine = slice(start, start + sum(sizes))
        kept = _suppress_part(sorted_boxes[mine], sorted_scores[mine], rank[mine], sizes, max_iou)
        is_kept[order[mine][kept]] = True
        start = mine.stop

    # In torchvision's way, so that boxes of equal scores come in the same order too.
    keep = torch.where(is_kept)[0]
    return keep[scores[keep].sort(descending=True)[1]]


def _parts(counts: list[int], at_once: int) -> list[list[int]]:
    """Divide groups of these sizes, in their order, into parts of at most `at_once` boxes; a larger one is alone."""
    parts: list[list[int]] = []
    num_boxes = 0
    for count in counts:
        if parts and num_boxes + count <= at_once:
            parts[-1].append(count)
            num_boxes += count
        else:
            parts.append([count])
            num_boxes = count
    return parts


def _suppress_part(boxes_xyxy: Tensor, scores: Tensor, rank: Tensor, sizes: list[int], max_iou: float) -> Tensor:
    """Suppress in groups that lie one after another, in one call where that changes nothing.

    Groups are moved apart along the diagonal. What is added to a group's corners falls out of every difference, so that
    overlaps are the same to the last bit, as long as no sum was rounded. That can be: 2,560 groups of 512 px, as 32
    images have of 80 classes, reach 2**21 px, where float64 tells 2**-32 px apart. A float32 corner is a multiple of
    that if it is 0, or 2**-8 px or more. So the sums are checked, which finds corners that are not a number as well.
    """
    offsets = ((rank - rank[0]) * (boxes_xyxy.max() + 1))[:, None]  # (N, 1)
    moved = boxes_xyxy + offsets  # (N, 4)
    if len(sizes) == 1 or torch.equal(moved - offsets, boxes_xyxy):
        kept: Tensor = nms(moved, scores, max_iou)
        return kept

    ends = list(accumulate(sizes))
    groups = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    return torch.cat([nms(boxes_xyxy[mine], scores[mine], max_iou) + mine.start for mine in groups])
