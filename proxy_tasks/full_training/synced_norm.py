"""Synchronised batch normalisation: all processes normalise by the statistics of the whole batch."""

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from proxy_tasks.networks.layers import BATCH_NORMS


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over all processes, as `torch.nn.SyncBatchNorm`, which runs on GPUs alone.

    One message each way: counts, means and squared deviations forward, two sums of the gradient backward. Processes may
    hold different numbers of images or regions, and some of them none.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the input's shape."""
        return _normalised(self, x) if self.training else super().forward(x)


class SyncedBatchNorm1d(nn.BatchNorm1d):
    """The same for (B, C), as behind a fully connected layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the input's shape."""
        return _normalised(self, x) if self.training else super().forward(x)


def _normalised(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Normalise by the statistics of all processes, and take them into the running ones."""
    out, mean, variance, count = cast("tuple[Tensor, ...]", _Normalise.apply(x, norm.weight, norm.bias, norm.eps))
    _remember(norm, mean, variance, count)
    return out


@torch.no_grad()
def _remember(norm: nn.BatchNorm1d | nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: Tensor) -> None:
    """Take the statistics of a batch into the running ones, the variance without its bias, as torch does."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    momentum = 0.1 if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), momentum)
    norm.running_var.lerp_((variance * count / (count - 1)).to(norm.running_var.dtype), momentum)


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  # torch has no type for what a function keeps on it
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        rest = _all_but_channels(precise)
        num_own = precise.numel() // precise.shape[1]
        own_mean = precise.mean(rest) if num_own else precise.new_zeros(precise.shape[1])  # (C,)
        own_squares = (precise - _wide(own_mean, precise)).square().sum(rest)  # (C,)
        own_count = own_mean.new_tensor([num_own])

        # Chan's formula: squares around the mean of each process become squares around that of all.
        own = torch.cat((own_count, own_mean, own_squares))  # (1 + 2 C,)
        gathered = own.new_empty(dist.get_world_size(), len(own))
        dist.all_gather(list(gathered.unbind()), own)
        counts, means, squares = torch.split(gathered, [1, len(own_mean), len(own_mean)], dim=1)  # (P, 1), (P, C) twice
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        variance = (squares + counts * (means - mean).square()).sum(0) / count

        scale = (variance + eps).rsqrt()
        normal = (precise - _wide(mean, x)) * _wide(scale, x)
        ctx.save_for_backward(normal, weight, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return (normal * _wide(weight, x) + _wide(bias, x)).to(x.dtype), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401  # as above
        gradient: Tensor,
        *of_statistics: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        normal, weight, scale, count = ctx.saved_tensors
        precise = gradient.to(normal.dtype)
        rest = _all_but_channels(normal)
        of_bias = precise.sum(rest)  # (C,)
        of_weight = (precise * normal).sum(rest)  # (C,)

        # The gradients of weight and bias stay this process's part: they are added up with all others.
        total = torch.stack((of_bias, of_weight))  # (2, C)
        dist.all_reduce(total)
        of_mean, of_scale = total / count
        inner = precise - _wide(of_mean, normal) - normal * _wide(of_scale, normal)
        of_input = inner * _wide(weight.to(normal.dtype) * scale, normal)
        return of_input.to(gradient.dtype), of_weight.to(weight.dtype), of_bias.to(weight.dtype), None


def _all_but_channels(x: Tensor) -> tuple[int, ...]:
    return (0, *range(2, x.dim()))


def _wide(values: Tensor, like: Tensor) -> Tensor:
    """Return (C,) values in the shape of a feature, (1, C) or (1, C, 1, 1)."""
    return values.view(1, -1, *[1] * (like.dim() - 2))


def synchronise(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network with every batch normalisation synchronised; parameters and names stay what they are."""
    if device.type == "cuda":
        convert = nn.SyncBatchNorm.convert_sync_batchnorm
        converted: nn.Module = convert(network)  # type: ignore[no-untyped-call]  # torch leaves it so
        return converted
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, BATCH_NORMS):
                setattr(module, name, _synced(child))
    return network


def _synced(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> SyncedBatchNorm1d | SyncedBatchNorm2d:
    """Return a synchronised normalisation with the parameters and statistics of another."""
    kind = SyncedBatchNorm2d if isinstance(norm, nn.BatchNorm2d) else SyncedBatchNorm1d
    synced = kind(norm.num_features, norm.eps, norm.momentum, device="meta")
    synced.weight, synced.bias = norm.weight, norm.bias
    synced.running_mean, synced.running_var = norm.running_mean, norm.running_var
    synced.num_batches_tracked = norm.num_batches_tracked
    synced.training = norm.training
    return synced
