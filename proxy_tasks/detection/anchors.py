"""Anchors: their positions, the object that each is responsible for, and boxes written relative to them."""

import math

import torch
from torch import Tensor

from proxy_tasks.networks.anchor_grid import anchor_grid
from proxy_tasks.networks.gpu_operators import add_operator, has_kernels

NUM_OCTAVES = 3
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
        sides = [anchor_scale * stride * 2 ** (o / NUM_OCTAVES) for o in range(NUM_OCTAVES)]
        anchors.append(anchor_grid((num, num), stride, sides))
    return torch.cat(anchors).to(device)


def match_anchors(anchors_xyxy: Tensor, boxes_xyxy: Tensor, labels: Tensor, image: Tensor, num_images: int) -> Tensor:
    """Assign each anchor the box it overlaps most, where they overlap by half or the anchor is a box's best.

    Boxes come as one list for all images: padded to the fullest image they would be several times as many.

    Args:
        anchors_xyxy: (A, 4) corners in pixels.
        boxes_xyxy: (N, 4) corners in pixels.
        labels: (N,) class index, -1 for entries that are no box.
        image: (N,) index of the image that each box is in, in order.
        num_images: B.

    Returns:
        (B, A) index of the box, -1 for background.

    Source: tensorflow/tpu anchor.py AnchorLabeler: positive and negative threshold are both 0.5, and each box takes
        its best anchor whatever the overlap.
    """
    if has_kernels(boxes_xyxy) and boxes_xyxy.dtype == torch.float32:
        fused: Tensor = _match(anchors_xyxy, boxes_xyxy, labels, image, num_images, POSITIVE_IOU)
        return fused

    num_boxes, num_anchors = len(boxes_xyxy), len(anchors_xyxy)
    is_box = (labels >= 0)[:, None]  # (N, 1)
    iou = torch.where(is_box, _pairwise_iou(boxes_xyxy, anchors_xyxy), -1.0)  # (N, A)

    # The best overlap of each anchor with a box of each image.
    of_image = image[:, None].expand(-1, num_anchors)  # (N, A)
    best_iou = iou.new_full((num_images, num_anchors), POSITIVE_IOU).scatter_reduce_(0, of_image, iou, "amax")  # (B, A)

    # The first box that overlaps as much. `num_boxes` stands for no box, so that the smallest index wins.
    box = torch.arange(num_boxes, device=image.device)  # (N,)
    no_box = image.new_full((num_images, num_anchors), num_boxes)  # (B, A)
    is_best = iou == best_iou[image]  # (N, A)
    matched = no_box.scatter_reduce(0, of_image, torch.where(is_best, box[:, None], num_boxes), "amin")  # (B, A)

    # Every box claims its best anchor, the first of several if they claim the same.
    claims = image * num_anchors + iou.argmax(dim=1)  # (N,) in the flat (B * A,)
    claimants = torch.where(is_box[:, 0], box, num_boxes)  # (N,)
    claimed = no_box.view(-1).scatter_reduce(0, claims, claimants, "amin").view_as(matched)  # (B, A)

    # A claim goes before an overlap, so that no box is left without an anchor.
    owner = torch.where(claimed < num_boxes, claimed, matched)  # (B, A)
    return torch.where(owner < num_boxes, owner, -1)


def encode_boxes(boxes_xyxy: Tensor, anchors_xyxy: Tensor) -> Tensor:
    """Return (..., 4) offsets (y, x, log height, log width) of boxes from anchors of the same shape."""
    centre, size = _centre_size(boxes_xyxy)  # (..., 2) x, y
    anchor_centre, anchor_size = _centre_size(anchors_xyxy)
    shift = (centre - anchor_centre) / anchor_size  # (..., 2)
    growth = (size / anchor_size).clamp(min=1e-6).log()  # (..., 2); no logarithm of 0
    return torch.cat((shift.flip(-1), growth.flip(-1)), dim=-1)  # (..., 4) y before x


def decode_boxes(codes: Tensor, anchors_xyxy: Tensor, *, counts_last_pixel: bool = False) -> Tensor:
    """Return (..., 4) corners in pixels; the inverse of `encode_boxes`.

    Args:
        codes: (..., 4) offsets (y, x, log height, log width).
        anchors_xyxy: (..., 4) corners in pixels.
        counts_last_pixel: whether the codes are of sizes one pixel larger, as tensorflow/tpu decodes those of its
            networks: sides there reach from the first pixel to the last, both counted. It trains them by codes that
            are none of such sizes, as `encode_boxes` makes them; the difference stays below a pixel for boxes near
            the size of their anchor.

    Source: tensorflow/tpu box_utils.py decode_boxes.
    """
    if counts_last_pixel:
        return _longer(decode_boxes(codes, _longer(anchors_xyxy, 1)), -1)

    anchor_centre, anchor_size = _centre_size(anchors_xyxy)  # (..., 2) x, y
    centre = codes[..., :2].flip(-1) * anchor_size + anchor_centre  # (..., 2) x before y again
    half = codes[..., 2:].flip(-1).clamp(max=MAX_LOG_SIZE).exp() * anchor_size / 2  # (..., 2)
    return torch.cat((centre - half, centre + half), dim=-1)


def _longer(boxes_xyxy: Tensor, pixels: int) -> Tensor:
    """Return (..., 4) boxes whose right and lower sides lie so many pixels further."""
    return torch.cat((boxes_xyxy[..., :2], boxes_xyxy[..., 2:] + pixels), dim=-1)


def _centre_size(boxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """Return (..., 2) centres and (..., 2) sizes, x before y."""
    return (boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]) / 2, boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]


def _pairwise_iou(boxes_xyxy: Tensor, anchors_xyxy: Tensor) -> Tensor:
    """Return (N, A) intersection over union of (N, 4) boxes and (A, 4) anchors."""
    left, top, right, bottom = (side[:, None] for side in boxes_xyxy.unbind(-1))  # (N, 1) each
    anchors = anchors_xyxy.T.contiguous()  # (4, A)

    # In place: at 512 px there are 49,000 anchors.
    width = torch.minimum(right, anchors[2]).sub_(torch.maximum(left, anchors[0])).clamp_(min=0)  # (N, A)
    height = torch.minimum(bottom, anchors[3]).sub_(torch.maximum(top, anchors[1])).clamp_(min=0)  # (N, A)
    intersection = width.mul_(height)  # (N, A)

    box_area = (right - left) * (bottom - top)  # (N, 1)
    anchor_area = (anchors[2] - anchors[0]) * (anchors[3] - anchors[1])  # (A,)
    return intersection.div_((box_area + anchor_area).sub_(intersection).clamp_(min=1e-9))


_match = add_operator(
    "match(Tensor anchors_xyxy, Tensor boxes_xyxy, Tensor labels, Tensor image, int num_images, float positive_iou) "
    "-> Tensor",
    "proxy_tasks.detection.match_kernels.match",
    lambda anchors, boxes, labels, image, num_images, iou: labels.new_empty((num_images, len(anchors))),
)
