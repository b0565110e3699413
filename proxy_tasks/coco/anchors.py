"""Anchors: where they stand, which object each is responsible for, and how boxes are written relative to them."""

import math

import torch
from torch import Tensor

NUM_OCTAVES = 3
ASPECT_RATIOS = (1.0, 2.0, 0.5)
POSITIVE_IOU = 0.5
MAX_LOG_SIZE = math.log(1000 / 16)
"""Decoded sizes are clipped so that no box grows beyond about 62 times its anchor."""


def make_anchors(levels: tuple[int, ...], image_size_px: int, anchor_scale: float, device: torch.device) -> Tensor:
    """Return (A, 4) corners in pixels: by level, row, column, octave, aspect ratio (width over height).

    Source: RetinaNet (arXiv 1708.02002), section 4; tensorflow/tpu anchor.py.
    """
    anchors = []
    for level in levels:
        stride = 2**level
        num = math.ceil(image_size_px / stride)
        sizes = torch.tensor([anchor_scale * stride * 2 ** (o / NUM_OCTAVES) for o in range(NUM_OCTAVES)])
        roots = torch.tensor(ASPECT_RATIOS).sqrt()
        half = torch.stack((sizes[:, None] * roots, sizes[:, None] / roots), dim=-1).reshape(-1, 2) / 2
        middle = (torch.arange(num) + 0.5) * stride
        y, x = torch.meshgrid(middle, middle, indexing="ij")
        centre = torch.stack((x, y), dim=-1).reshape(-1, 1, 2)
        anchors.append(torch.cat((centre - half, centre + half), dim=-1).reshape(-1, 4))
    return torch.cat(anchors).to(device)


def match_anchors(anchors_xyxy: Tensor, boxes_xyxy: Tensor, labels: Tensor) -> Tensor:
    """Assign each anchor the box it overlaps most, where they overlap by half or the anchor is a box's best.

    Args:
        anchors_xyxy: (A, 4) corners in pixels.
        boxes_xyxy: (B, N, 4) corners in pixels.
        labels: (B, N); rows of -1 are no boxes.

    Returns:
        (B, A) row of the box, -1 for background.

    Source: tensorflow/tpu anchor.py AnchorLabeler: positive and negative threshold are both 0.5, and each box takes
        its best anchor whatever the overlap.
    """
    iou = _pairwise_iou(boxes_xyxy, anchors_xyxy)
    is_box = labels >= 0
    iou = torch.where(is_box[..., None], iou, -1.0)
    best_iou, best_box = iou.max(dim=1)
    matched = torch.where(best_iou >= POSITIVE_IOU, best_box, -1)
    # Every box claims its best anchor, the first of several if they claim the same; rows of -1 claim a column that is
    # cut off.
    num_boxes, num_anchors = boxes_xyxy.shape[1], len(anchors_xyxy)
    claimed = torch.where(is_box, iou.argmax(dim=2), num_anchors)
    rows = torch.arange(num_boxes, device=matched.device).expand_as(claimed)
    nobody = matched.new_full((len(matched), num_anchors + 1), num_boxes)
    claimant = nobody.scatter_reduce(1, claimed, rows, "amin")[:, :num_anchors]
    return torch.where(claimant < num_boxes, claimant, matched)


def encode_boxes(boxes_xyxy: Tensor, anchors_xyxy: Tensor) -> Tensor:
    """Return (..., 4) offsets (y, x, log height, log width) of boxes from anchors of the same shape."""
    centre, size = _centre_size(boxes_xyxy)
    anchor_centre, anchor_size = _centre_size(anchors_xyxy)
    shift = (centre - anchor_centre) / anchor_size
    growth = (size / anchor_size).clamp(min=1e-6).log()
    return torch.cat((shift.flip(-1), growth.flip(-1)), dim=-1)


def decode_boxes(codes: Tensor, anchors_xyxy: Tensor) -> Tensor:
    """Return (..., 4) corners in pixels; the inverse of `encode_boxes`.

    Differs: the reference decodes with a legacy convention in which a box's size is one pixel more.
    """
    anchor_centre, anchor_size = _centre_size(anchors_xyxy)
    centre = codes[..., :2].flip(-1) * anchor_size + anchor_centre
    half = codes[..., 2:].flip(-1).clamp(max=MAX_LOG_SIZE).exp() * anchor_size / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def _centre_size(boxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    return (boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]) / 2, boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]


def _pairwise_iou(boxes_xyxy: Tensor, anchors_xyxy: Tensor) -> Tensor:
    """Return (B, N, A) intersection over union of (B, N, 4) boxes and (A, 4) anchors."""
    # One coordinate at a time: a (B, N, A, 2) tensor of a large batch would take gigabytes.
    boxes = [side[..., None] for side in boxes_xyxy.unbind(-1)]
    anchors = anchors_xyxy.unbind(-1)
    width = (torch.minimum(boxes[2], anchors[2]) - torch.maximum(boxes[0], anchors[0])).clamp(min=0)
    height = (torch.minimum(boxes[3], anchors[3]) - torch.maximum(boxes[1], anchors[1])).clamp(min=0)
    intersection = width * height
    box_area = (boxes[2] - boxes[0]) * (boxes[3] - boxes[1])
    anchor_area = (anchors[2] - anchors[0]) * (anchors[3] - anchors[1])
    return intersection / (box_area + anchor_area - intersection).clamp(min=1e-9)
