"""The detection loss with its gradient as two operators, on GPUs: each reads what the network returned once."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from proxy_tasks.networks.gpu_operators import FLOAT_TYPES, add_operator, are_fused


def can_fuse_loss(class_logits: Tensor, box_codes: Tensor) -> bool:
    """Return whether the fused operators can stand for the loss of these predictions."""
    is_known = class_logits.dtype in FLOAT_TYPES and box_codes.dtype in FLOAT_TYPES
    return is_known and are_fused(class_logits)


def fused_detection_loss(
    class_logits: Tensor,
    box_codes: Tensor,
    matched: Tensor,
    labels: Tensor,
    boxes_xyxy: Tensor,
    anchors_xyxy: Tensor,
    num_positive: Tensor,
    *,
    box_weight: float,
    delta: float,
) -> Tensor:
    """Return the loss of `detection_loss`, a scalar in float32, of predictions that `can_fuse_loss`.

    Args:
        class_logits: (B, A, K).
        box_codes: (B, A, 4).
        matched: (B, A) index of the box of each anchor, -1 for background.
        labels: (N,) class of each box.
        boxes_xyxy: (N, 4) corners in pixels.
        anchors_xyxy: (A, 4) the same.
        num_positive: anchors with a box in the whole batch, a scalar.
        box_weight: weight of the mean loss of a box's four numbers.
        delta: error at which the Huber loss becomes linear.
    """
    scale = 1 / (num_positive + 1.0)
    loss: Tensor = _FusedLoss.apply(
        class_logits.contiguous(),
        box_codes.contiguous(),
        (matched, labels, boxes_xyxy, anchors_xyxy),
        scale,
        box_weight / 4,
        delta,
    )
    return loss


class _FusedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  # torch has no type for what a function keeps on it
        logits: Tensor,
        codes: Tensor,
        truth: tuple[Tensor, Tensor, Tensor, Tensor],
        scale: Tensor,
        weight: float,
        delta: float,
    ) -> Tensor:
        matched, labels, boxes, anchors = truth
        of_classes, of_logits = _class_loss(logits, matched, labels, scale)
        of_boxes, of_codes = _box_loss(codes, matched, boxes, anchors, scale * weight, delta)
        ctx.save_for_backward(of_logits, of_codes)
        ctx.is_used = False
        loss: Tensor = (of_classes + weight * of_boxes) * scale
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401  # as above
        # In place, as the gradient of the logits is the largest tensor of a step.
        if ctx.is_used:
            raise RuntimeError("the gradient of this loss can be taken once")
        ctx.is_used = True
        of_logits, of_codes = ctx.saved_tensors
        _multiply_gradient(of_logits, upstream)
        _multiply_gradient(of_codes, upstream)
        return of_logits, of_codes, None, None, None, None


def _sum_and_gradient(predictions: Tensor, *_: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401  # what the operator takes
    return predictions.new_empty((), dtype=torch.float32), torch.empty_like(predictions)


_KERNELS = "proxy_tasks.detection.loss_kernels"
_class_loss = add_operator(
    "class_loss(Tensor logits, Tensor matched, Tensor labels, Tensor scale) -> (Tensor, Tensor)",
    f"{_KERNELS}.class_loss",
    _sum_and_gradient,
)
_box_loss = add_operator(
    "box_loss(Tensor codes, Tensor matched, Tensor boxes_xyxy, Tensor anchors_xyxy, Tensor scale, float delta) "
    "-> (Tensor, Tensor)",
    f"{_KERNELS}.box_loss",
    _sum_and_gradient,
)
_multiply_gradient = add_operator(
    "multiply_gradient(Tensor(a!) gradient, Tensor upstream) -> ()", f"{_KERNELS}.multiply", lambda *_: None
)
