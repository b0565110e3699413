"""Batch normalisation with what follows it, a sum and an activation: on GPUs in training as one operator.

On a GPU a training step is limited by the bytes that it moves, and torch reads and writes a feature once for the mean,
once for the normalised values, once for the sum and once for the activation, and again on the way back. The fused
operators, see `norm_kernels`, take 6 bytes a value of a bfloat16 feature forward and 10 on the way back.
"""

from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from proxy_tasks.networks.gpu_operators import FLOAT_TYPES, add_operator, are_fused

_CODES = {"": 0, "relu": 1, "silu": 2}
"""Activations as the kernels know them."""


def can_fuse(norm: nn.Module, x: Tensor, plus: Tensor | None = None) -> TypeGuard[nn.BatchNorm2d]:
    """Return whether the fused operators can stand for a normalisation of x, to which `plus` is added.

    In inference normalisation is cheap, and a synchronised one exchanges messages between the two passes.
    """
    return (
        are_fused(x)
        and norm.training
        and type(norm) is nn.BatchNorm2d
        and norm.momentum is not None
        and norm.running_mean is not None
        and norm.weight is not None
        and norm.bias is not None
        and x.numel() > x.shape[1]
        and x.dtype in FLOAT_TYPES
        and (plus is None or (plus.dtype == x.dtype and plus.shape == x.shape))
    )


def fused_norm(
    norm: nn.BatchNorm2d,
    x: Tensor,
    *,
    plus: Tensor | None = None,
    shift: Tensor | None = None,
    activation: str = "",
) -> Tensor:
    """Return `activation(norm(x) + plus)` of a feature that `can_fuse`.

    Args:
        norm: its running statistics are updated.
        x: (B, C, H, W).
        plus: the same, added before the activation; None for nothing.
        shift: (C,) a bias that x lacks. Normalisation takes it away, so that it has no gradient; but the running mean
            has it.
        activation: `relu`, `silu`, or nothing. SiLU's own gradient needs the sum, so after one it is an operator of its
            own.
    """
    after_sum = activation if plus is not None and activation == "silu" else ""
    out: Tensor = _FusedNorm.apply(
        _channels_last(x),
        None if plus is None else _channels_last(plus),
        norm.weight,
        norm.bias,
        (*_running(norm), None if shift is None else shift.detach()),
        _CODES["" if after_sum else activation],
    )
    return nn.functional.silu(out) if after_sum else out


def fused_norm_and_pool(norm: nn.BatchNorm2d, x: Tensor, activation: str) -> Tensor:
    """Return `same_max_pool(activation(norm(x)), (3, 3), (2, 2))` of a feature of even size that `can_fuse`."""
    code = _CODES[activation]
    out: Tensor = _FusedNormAndPool.apply(_channels_last(x), norm.weight, norm.bias, (*_running(norm), None), code)
    return out


def _running(norm: nn.BatchNorm2d) -> tuple[Any, ...]:
    return norm.running_mean, norm.running_var, norm.num_batches_tracked, norm.momentum, norm.eps


class _FusedNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  # torch has no type for what a function keeps on it
        x: Tensor,
        plus: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        running: tuple[Any, ...],
        activation: int,
    ) -> Tensor:
        of_batch: Tensor = _statistics(x, *running)
        out: Tensor = _apply(x, plus, of_batch, weight, bias, activation)

        # The result of a sum before a ReLU says where that is flat. Else x does, which is kept in any case.
        ctx.has_plus = plus is not None
        ctx.activation = activation
        kept = out if plus is not None and activation else None
        ctx.save_for_backward(x, kept, of_batch, weight, bias)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401  # as above
        x, out, of_batch, weight, bias = ctx.saved_tensors
        upstream = _channels_last(upstream)
        of_weight_and_bias = _gradient_sums(upstream, x, out, of_batch, weight, bias, ctx.activation)
        of_x, of_plus = _apply_gradient(upstream, x, out, of_batch, of_weight_and_bias, weight, bias, ctx.activation)

        # What is added and not activated has the gradient of the sum.
        if out is None:
            of_plus = upstream if ctx.has_plus else None
        return of_x, of_plus, of_weight_and_bias[0], of_weight_and_bias[1], None, None


class _FusedNormAndPool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  # as above
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running: tuple[Any, ...],
        activation: int,
    ) -> Tensor:
        of_batch: Tensor = _statistics(x, *running)
        out, chosen, winner = _apply_and_pool(x, of_batch, weight, bias, activation)
        ctx.activation = activation
        ctx.save_for_backward(x, chosen, winner, of_batch, weight, bias)
        pooled: Tensor = out
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401  # as above
        x, chosen, winner, of_batch, weight, bias = ctx.saved_tensors
        upstream = _channels_last(upstream)

        # Pixels that no window chose have no part in the sums.
        of_weight_and_bias = _gradient_sums(upstream, chosen, None, of_batch, weight, bias, ctx.activation)
        of_x = _apply_gradient_before_pool(
            upstream, x, winner, of_batch, of_weight_and_bias, weight, bias, ctx.activation
        )
        return of_x, of_weight_and_bias[0], of_weight_and_bias[1], None, None


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _for_each_channel(x: Tensor, *_: Any) -> Tensor:  # noqa: ANN401  # what the operator takes besides
    return x.new_empty((2, x.shape[1]), dtype=torch.float32)


def _like(x: Tensor, *_: Any) -> Tensor:  # noqa: ANN401  # as above
    return torch.empty_like(x)


def _pooled(x: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401  # as above
    num_images, columns, height, width = x.shape
    out = _channels_last(x.new_empty((num_images, columns, height // 2, width // 2)))
    return out, torch.empty_like(out), torch.empty_like(out, dtype=torch.uint8)


def _gradients(upstream: Tensor, x: Tensor, out: Tensor | None, *_: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401  # as above
    return torch.empty_like(x), x.new_empty(0) if out is None else torch.empty_like(x)


_KERNELS, _GRADIENTS, _POOL = (f"proxy_tasks.networks.{name}_kernels" for name in ("norm", "norm_gradient", "pool"))
_statistics = add_operator(
    "norm_statistics(Tensor x, Tensor(a!) running_mean, Tensor(b!) running_variance, Tensor(c!) num_batches, "
    "float momentum, float epsilon, Tensor? shift) -> Tensor",
    f"{_KERNELS}.statistics",
    _for_each_channel,
)
_apply = add_operator(
    "norm_apply(Tensor x, Tensor? plus, Tensor of_batch, Tensor weight, Tensor bias, int activation) -> Tensor",
    f"{_KERNELS}.apply",
    _like,
)
_apply_and_pool = add_operator(
    "norm_apply_and_pool(Tensor x, Tensor of_batch, Tensor weight, Tensor bias, int activation) "
    "-> (Tensor, Tensor, Tensor)",
    f"{_POOL}.apply_and_pool",
    _pooled,
)
_gradient_sums = add_operator(
    "norm_gradient_sums(Tensor upstream, Tensor x, Tensor? out, Tensor of_batch, Tensor weight, Tensor bias, "
    "int activation) -> Tensor",
    f"{_GRADIENTS}.gradient_sums",
    _for_each_channel,
)
_apply_gradient = add_operator(
    "norm_apply_gradient(Tensor upstream, Tensor x, Tensor? out, Tensor of_batch, Tensor sums, Tensor weight, "
    "Tensor bias, int activation) -> (Tensor, Tensor)",
    f"{_GRADIENTS}.apply_gradient",
    _gradients,
)
_apply_gradient_before_pool = add_operator(
    "norm_apply_gradient_before_pool(Tensor upstream, Tensor x, Tensor winner, Tensor of_batch, Tensor sums, "
    "Tensor weight, Tensor bias, int activation) -> Tensor",
    f"{_POOL}.apply_gradient_before_pool",
    lambda upstream, x, *_: torch.empty_like(x),
)
