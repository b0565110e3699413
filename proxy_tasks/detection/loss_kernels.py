"""Triton kernels of the detection loss with its gradient: two bytes read and two written a logit of bfloat16."""

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from proxy_tasks.detection.focal import ALPHA, GAMMA

# Numbers in kernels must be constants that Triton knows of.
_ALPHA: Final = tl.constexpr(ALPHA)
_GAMMA: Final = tl.constexpr(GAMMA)
_LOGITS_A_PROGRAM, _ANCHORS_A_PROGRAM, _VALUES_A_PROGRAM = 4096, 1024, 8192


def class_loss(logits: Tensor, matched: Tensor, labels: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return the focal loss of all anchors and classes, and its gradient times `scale`.

    Args:
        logits: (B, A, K).
        matched: (B, A) index of the box of each anchor, -1 for background.
        labels: (N,) class of each box.
        scale: a scalar.

    Returns:
        A scalar in float32, and (B, A, K) of the type of the logits.
    """
    gradient = torch.empty_like(logits)
    num_programs = triton.cdiv(logits.numel(), _LOGITS_A_PROGRAM)
    parts = logits.new_empty(num_programs, dtype=torch.float32)

    # The class of each anchor once, not for each of its logits.
    classes = torch.empty_like(matched, dtype=torch.int32)
    num_anchors = matched.numel()
    _classes[(triton.cdiv(num_anchors, _ANCHORS_A_PROGRAM),)](
        matched, labels, classes, num_anchors, ANCHORS=_ANCHORS_A_PROGRAM
    )
    _class_loss[(num_programs,)](
        logits,
        classes,
        scale,
        gradient,
        parts,
        logits.numel(),
        K=logits.shape[-1],
        VALUES=_LOGITS_A_PROGRAM,
        num_warps=8,
    )
    return parts.sum(), gradient


def box_loss(
    codes: Tensor, matched: Tensor, boxes_xyxy: Tensor, anchors_xyxy: Tensor, scale: Tensor, delta: float
) -> tuple[Tensor, Tensor]:
    """Return the sum of the Huber losses of all positive anchors' codes, and its gradient times `scale`.

    Args:
        codes: (B, A, 4) as `encode_boxes`.
        matched: (B, A) index of the box of each anchor, -1 for background.
        boxes_xyxy: (N, 4) corners in pixels.
        anchors_xyxy: (A, 4) the same.
        scale: a scalar.
        delta: error at which the Huber loss becomes linear.

    Returns:
        A scalar in float32, and (B, A, 4) of the type of the codes.
    """
    gradient = torch.empty_like(codes)
    num_programs = triton.cdiv(matched.numel(), _ANCHORS_A_PROGRAM)
    parts = codes.new_empty(num_programs, dtype=torch.float32)
    _box_loss[(num_programs,)](
        codes,
        matched,
        boxes_xyxy,
        anchors_xyxy,
        scale,
        gradient,
        parts,
        matched.numel(),
        len(anchors_xyxy),
        delta,
        ANCHORS=_ANCHORS_A_PROGRAM,
    )
    return parts.sum(), gradient


def multiply(gradient: Tensor, upstream: Tensor) -> None:
    """Multiply a gradient by a scalar in place; by 1, as it is at the end of a loss, without touching it."""
    num_programs = triton.cdiv(gradient.numel(), _VALUES_A_PROGRAM)
    _multiply[(num_programs,)](gradient, upstream, gradient.numel(), VALUES=_VALUES_A_PROGRAM)


@triton.jit
def _classes(matched, labels, classes, num_anchors, ANCHORS: tl.constexpr):
    """Store the class of each anchor, -1 for background."""
    anchor = tl.program_id(0).to(tl.int64) * ANCHORS + tl.arange(0, ANCHORS)
    box = tl.load(matched + anchor, mask=anchor < num_anchors, other=-1)
    label = tl.load(labels + box, mask=box >= 0, other=-1)
    tl.store(classes + anchor, label.to(tl.int32), mask=anchor < num_anchors)


@triton.jit
def _class_loss(logits, classes, scale, gradient, parts, num_logits, K: tl.constexpr, VALUES: tl.constexpr):
    """Store a part of the focal loss, and its gradient."""
    first = tl.program_id(0).to(tl.int64) * VALUES
    number = tl.arange(0, VALUES)
    is_logit = first + number < num_logits
    place = first + number

    # Counted from the first anchor of the part, in 32 bits.
    from_anchor = number + (first % K).to(tl.int32)
    anchor = from_anchor // K
    is_object = tl.load(classes + first // K + anchor, mask=is_logit, other=-1) == from_anchor - anchor * K

    # An object is to the opposite logit what background is to the logit, and weighs alpha in place of 1 - alpha.
    x = tl.load(logits + place, mask=is_logit, other=0.0).to(tl.float32)
    z = tl.where(is_object, -x, x)
    weight = tl.where(is_logit, tl.where(is_object, _ALPHA, 1 - _ALPHA), 0.0)

    # With p = sigmoid(z) the cost is -p^gamma log(1 - p), gamma 1.5. One exponential of a negative number gives all.
    small = tl.exp(-tl.abs(z))
    larger = 1 / (1 + small)
    p = tl.where(z >= 0, larger, small * larger)
    q = tl.where(z >= 0, small * larger, larger)
    cross_entropy = tl.maximum(z, 0.0) + tl.where(small < 1e-4, small, tl.log(1 + small))
    factor = weight * p * tl.sqrt(p)
    slope = factor * (_GAMMA * q * cross_entropy + p) * tl.load(scale)

    tl.store(parts + tl.program_id(0), tl.sum(factor * cross_entropy, 0))
    tl.store(gradient + place, tl.where(is_object, -slope, slope).to(gradient.dtype.element_ty), mask=is_logit)


@triton.jit
def _huber(codes, place, is_object, target, scale, gradient, is_anchor, delta):
    """Return the loss of one of the four numbers of each anchor, and store its gradient."""
    error = tl.load(codes + place, mask=is_object, other=0.0).to(tl.float32) - target
    size = tl.abs(error)
    loss = tl.where(size <= delta, 0.5 * error * error, delta * (size - 0.5 * delta))
    slope = tl.minimum(tl.maximum(error, -delta), delta) * scale
    tl.store(gradient + place, tl.where(is_object, slope, 0.0).to(gradient.dtype.element_ty), mask=is_anchor)
    return tl.where(is_object, loss, 0.0)


@triton.jit
def _box_loss(
    codes, matched, boxes, anchors, scale, gradient, parts, num_anchors, anchors_an_image, delta, ANCHORS: tl.constexpr
):
    """Store a part of the Huber loss, and its gradient; background has none, and is not read."""
    place = tl.program_id(0).to(tl.int64) * ANCHORS + tl.arange(0, ANCHORS)
    is_anchor = place < num_anchors
    box = tl.load(matched + place, mask=is_anchor, other=-1)
    is_object = box >= 0

    left, top = boxes + box * 4, boxes + box * 4 + 1
    x1, y1 = tl.load(left, mask=is_object, other=0.0), tl.load(top, mask=is_object, other=0.0)
    x2, y2 = tl.load(left + 2, mask=is_object, other=1.0), tl.load(top + 2, mask=is_object, other=1.0)
    anchor = anchors + (place % anchors_an_image) * 4
    ax1, ay1 = tl.load(anchor, mask=is_object, other=0.0), tl.load(anchor + 1, mask=is_object, other=0.0)
    ax2, ay2 = tl.load(anchor + 2, mask=is_object, other=1.0), tl.load(anchor + 3, mask=is_object, other=1.0)
    width, height = ax2 - ax1, ay2 - ay1

    # As `encode_boxes`: centres and logarithms of sizes, y before x.
    y = ((y1 + y2) / 2 - (ay1 + ay2) / 2) / height
    x = ((x1 + x2) / 2 - (ax1 + ax2) / 2) / width
    log_height = tl.log(tl.maximum((y2 - y1) / height, 1e-6))
    log_width = tl.log(tl.maximum((x2 - x1) / width, 1e-6))

    by = tl.load(scale)
    first = place * 4
    loss = _huber(codes, first, is_object, y, by, gradient, is_anchor, delta)
    loss += _huber(codes, first + 1, is_object, x, by, gradient, is_anchor, delta)
    loss += _huber(codes, first + 2, is_object, log_height, by, gradient, is_anchor, delta)
    loss += _huber(codes, first + 3, is_object, log_width, by, gradient, is_anchor, delta)
    tl.store(parts + tl.program_id(0), tl.sum(loss, 0))


@triton.jit
def _multiply(gradient, upstream, num_values, VALUES: tl.constexpr):
    """Multiply a part in place."""
    by = tl.load(upstream)
    if by != 1.0:
        place = tl.program_id(0).to(tl.int64) * VALUES + tl.arange(0, VALUES)
        value = tl.load(gradient + place, mask=place < num_values, other=0.0).to(tl.float32)
        tl.store(gradient + place, (value * by).to(gradient.dtype.element_ty), mask=place < num_values)
