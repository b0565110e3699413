"""The loss that a detector is trained to minimise."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.anchors import encode_boxes, match_anchors
from proxy_tasks.detection.focal import focal_loss
from proxy_tasks.detection.fused_loss import can_fuse_loss, fused_detection_loss
from proxy_tasks.networks.retinanet import RawDetections

# tensorflow/tpu configs/spinenet.
HUBER_DELTA = 0.1
BOX_WEIGHT = 50.0


class MatchedBatch(NamedTuple):
    """Some images of a batch, with all that their loss needs.

    Attributes:
        batch: the B images.
        matched: (B, A) of `match_batch`.
        num_positive: anchors with a box in the whole batch, a scalar.
    """

    batch: Batch
    matched: Tensor
    num_positive: Tensor


def match_batch(batch: Batch, anchors_xyxy: Tensor) -> Tensor:
    """Return (B, A): the index of the box that each anchor of each image is to find, -1 for background."""
    return match_anchors(anchors_xyxy, batch.boxes_xyxy, batch.labels, batch.image, len(batch.images))


def detection_loss(
    raw: RawDetections, batch: Batch, anchors_xyxy: Tensor, matched: Tensor, num_positive: Tensor
) -> Tensor:
    """Return the loss of a batch, a scalar: focal loss for classes plus Huber loss for boxes.

    Both are sums over the batch, divided by a number of positive anchors plus one. Of a batch that is taken in parts,
    by several processes or one part after the other, each part is divided by the number in the whole: the losses of
    the parts then add up to that of the whole, and so do their gradients.

    Args:
        raw: predictions for the B images of the batch.
        batch: the images, or some of a larger batch.
        anchors_xyxy: (A, 4) corners in pixels.
        matched: (B, A) of `match_batch`.
        num_positive: anchors with a box in the whole batch, a scalar.

    Source: RetinaNet (arXiv 1708.02002), section 3; tensorflow/tpu modeling/losses.py and configs/spinenet.
    Differs: the reference counts positive anchors in the batch of each replica, and then takes the mean over replicas:
        a replica with few objects there weighs them more. Here the number of processes changes nothing.
        The reference takes a target of exactly 0 for background, so those of the four numbers of a box that agree
        with its anchor's cost nothing. They are 0.004 % of all where boxes are given to a hundredth of a pixel, and
        2.6 % on the embedded data, whose boxes are whole pixels. There AP of two trials is 0.605 and 0.095, and 0.562
        and 0.103 without these targets.
    """
    if can_fuse_loss(raw.class_logits, raw.box_codes):
        truth = (matched, batch.labels, batch.boxes_xyxy, anchors_xyxy, num_positive)
        return fused_detection_loss(*raw, *truth, box_weight=BOX_WEIGHT, delta=HUBER_DELTA)

    is_positive = matched >= 0  # (B, A)
    box = matched.clamp(min=0)  # (B, A), any box where there is none

    class_loss = focal_loss(raw.class_logits, torch.where(is_positive, batch.labels[box], -1))

    # The reference takes the mean over the four numbers of a box.
    codes = encode_boxes(batch.boxes_xyxy[box], anchors_xyxy)  # (B, A, 4)
    precise = torch.promote_types(raw.box_codes.dtype, torch.float32)
    errors = F.huber_loss(raw.box_codes.to(precise), codes, delta=HUBER_DELTA, reduction="none")  # (B, A, 4)
    box_loss = torch.where(is_positive[..., None], errors, 0).sum() / 4

    loss: Tensor = (class_loss + BOX_WEIGHT * box_loss) / (num_positive + 1)
    return loss
