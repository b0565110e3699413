"""Synchronised batch normalisation: all processes normalise by the statistics of the whole batch."""

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over all processes, as `torch.nn.SyncBatchNorm`, which runs on GPUs alone.

    One message each way: counts, means and squared deviations forward, two sums of the gradient backward. Processes may
    hold different numbers of images.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the input's shape."""
        if not self.training:
            return super().forward(x)

        out, mean, variance, count = cast("tuple[Tensor, ...]", _Normalise.apply(x, self.weight, self.bias, self.eps))
        self._remember(mean, variance, count)
        return out

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Take the statistics of a batch into the running ones, the variance without its bias, as torch does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), momentum)


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
        own_mean = precise.mean((0, 2, 3))  # (C,)
        own_squares = (precise - _wide(own_mean)).square().sum((0, 2, 3))  # (C,)
        own_count = own_mean.new_tensor([precise.numel() / len(own_mean)])

        # Chan's formula: squares around the mean of each process become squares around that of all.
        own = torch.cat((own_count, own_mean, own_squares))  # (1 + 2 C,)
        gathered = own.new_empty(dist.get_world_size(), len(own))
        dist.all_gather(list(gathered.unbind()), own)
        counts, means, squares = torch.split(gathered, [1, len(own_mean), len(own_mean)], dim=1)  # (P, 1), (P, C) twice
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        variance = (squares + counts * (means - mean).square()).sum(0) / count

        scale = (variance + eps).rsqrt()
        normal = (precise - _wide(mean)) * _wide(scale)
        ctx.save_for_backward(normal, weight, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return (normal * _wide(weight) + _wide(bias)).to(x.dtype), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401  # as above
        gradient: Tensor,
        *of_statistics: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        normal, weight, scale, count = ctx.saved_tensors
        precise = gradient.to(normal.dtype)
        of_bias = precise.sum((0, 2, 3))  # (C,)
        of_weight = (precise * normal).sum((0, 2, 3))  # (C,)

        # The gradients of weight and bias stay this process's part: they are added up with all others.
        total = torch.stack((of_bias, of_weight))  # (2, C)
        dist.all_reduce(total)
        of_mean, of_scale = total / count
        inner = precise - _wide(of_mean) - normal * _wide(of_scale)
        of_input = inner * _wide(weight.to(normal.dtype) * scale)
        return of_input.to(gradient.dtype), of_weight.to(weight.dtype), of_bias.to(weight.dtype), None


def _wide(values: Tensor) -> Tensor:
    """Return (C,) values in the shape of a feature, (1, C, 1, 1)."""
    return values[None, :, None, None]


def synchronise(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network with every batch normalisation synchronised; parameters and names stay what they are."""
    if device.type == "cuda":
        convert = nn.SyncBatchNorm.convert_sync_batchnorm
        converted: nn.Module = convert(network)  # type: ignore[no-untyped-call]  # torch leaves it so
        return converted
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, _synced(child))
    return network


def _synced(norm: nn.BatchNorm2d) -> SyncedBatchNorm2d:
    """Return a synchronised normalisation with the parameters and statistics of another."""
    synced = SyncedBatchNorm2d(norm.num_features, norm.eps, norm.momentum, device="meta")
    synced.weight, synced.bias = norm.weight, norm.bias
    synced.running_mean, synced.running_var = norm.running_mean, norm.running_var
    synced.num_batches_tracked = norm.num_batches_tracked
    synced.training = norm.training
    return synced
