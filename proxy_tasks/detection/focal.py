"""Focal loss and its gradient in one sweep: the widest tensors of a training step are read once."""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

# tensorflow/tpu configs/spinenet: gamma is 1.5 there, not RetinaNet's 2.
ALPHA = 0.25
GAMMA = 1.5
_WEIGHT = ALPHA / (1 - ALPHA)
"""Weight of an object beside background."""
_CHUNK_ON_CPU, _CHUNK_ON_GPU = 1 << 17, 1 << 24
"""Logits at a time: intermediate results then stay in a processor's cache, or small beside a GPU's memory."""


def focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the focal loss of all anchors and classes, a scalar sum in float32 or better.

    Equal to torchvision's `sigmoid_focal_loss` on one-hot targets, which would be as large as the logits: here all
    anchors are taken for background first, and the few that are not are corrected.

    Args:
        logits: (B, A, K), of any floating type.
        labels: (B, A) class index, -1 for background.

    Source: RetinaNet (arXiv 1708.02002), section 3.
    """
    loss: Tensor = _FocalLoss.apply(logits, labels)
    return loss


class _FocalLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, labels: Tensor) -> Tensor:
        precise = torch.promote_types(logits.dtype, torch.float32)
        flat = logits.reshape(-1)  # (B * A * K,)

        # First all anchors are taken for background.
        gradient = torch.empty_like(flat)
        total = flat.new_zeros((), dtype=precise)
        chunk = _CHUNK_ON_CPU if flat.device.type == "cpu" else _CHUNK_ON_GPU
        for x, out in zip(torch.split(flat, chunk), torch.split(gradient, chunk), strict=True):
            cost, slope = _background(x.to(precise))
            total += cost.sum()
            out.copy_(slope)
        gradient = gradient.view_as(logits)  # (B, A, K)

        # Then the class of each anchor that has an object is corrected; the others take part, but change nothing.
        is_positive = (labels >= 0)[..., None]  # (B, A, 1)
        own_class = labels.clamp(min=0)[..., None]  # (B, A, 1)
        x = logits.gather(2, own_class).to(precise)

        # An object is to the opposite logit what background is to the logit, and weighs alpha in place of 1 - alpha.
        cost, slope = _background(-x)
        total += torch.where(is_positive, cost * _WEIGHT - _background(x)[0], 0).sum()
        of_object = (slope * -_WEIGHT).to(gradient.dtype)
        gradient.scatter_(2, own_class, torch.where(is_positive, of_object, gradient.gather(2, own_class)))

        ctx.save_for_backward(gradient)
        return total * (1 - ALPHA)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors  # type: ignore[attr-defined]  # torch adds it
        return gradient * (upstream * (1 - ALPHA)), None


def _background(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cost of logits where there is no object, and its slope.

    With p = sigmoid(x) the cost is `-p^gamma log(1 - p)`. In place where it can be, as every pass over the logits
    counts. In float32 no logit costs more than 87, where 1 - p is next to nothing.
    """
    p, q = x.sigmoid(), x.neg().sigmoid_().clamp_min_(torch.finfo(x.dtype).tiny)

    # A plain logarithm: on CPUs `log1p` and `softplus` take ten times as long.
    log_q = q.log()
    factor = p.sqrt().mul_(p)  # p^gamma, as gamma is 1.5
    slope = torch.addcmul(p, q, log_q, value=-GAMMA).mul_(factor)
    return log_q.mul_(factor).neg_(), slope
