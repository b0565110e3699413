"""Folding: a trained network for inference, the same function with fewer layers and fewer passes over memory."""

import copy
import itertools
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from proxy_tasks.networks.layers import Activation, ConvNorm, pad_same
from proxy_tasks.networks.resample import Fusion, Resample, SeparableResample

M = TypeVar("M", bound=nn.Module)


class FoldedConv(nn.Module):
    """A `ConvNorm` in evaluation as one convolution with a bias."""

    def __init__(self, source: ConvNorm) -> None:
        super().__init__()
        act = list(source.children())[2:]
        self.conv = fuse_conv_bn_eval(*source.parts())
        self.act = act[0] if act and isinstance(act[0], Activation) else None
        self.same_padding = source.same_padding

    def forward(self, x: Tensor, *, plus: Tensor | None = None, act: Activation | None = None) -> Tensor:
        """Return what the `ConvNorm` returns."""
        if self.same_padding is not None:
            x = pad_same(x, *self.same_padding)
        out: Tensor = self.conv(x)
        if plus is not None:
            out += plus
        act = self.act or act
        return out if act is None else act(out)


class FoldedFusion(nn.Module):
    """A `Fusion` whose last convolutions are one: the sum of convolutions is a convolution of their inputs together."""

    def __init__(self, source: Fusion) -> None:
        super().__init__()
        convs = []
        for resample in source.resamples:
            if not isinstance(resample, Resample | SeparableResample):
                raise TypeError(f"expected a resampling that ends in one convolution, got {resample}")
            convs.append(FoldedConv(resample.project).conv)
            del resample.project
        self.resamples = nn.ModuleList(_folded(resample) for resample in source.resamples)

        # A convolution that took a normalisation in always has a bias.
        biases = [conv.bias.detach() for conv in convs if conv.bias is not None]
        self.project = nn.Conv2d(sum(conv.in_channels for conv in convs), convs[0].out_channels, 1)
        self.project.weight = nn.Parameter(torch.cat([conv.weight for conv in convs], dim=1))  # (C', sum of C, 1, 1)
        self.project.bias = nn.Parameter(torch.stack(biases).sum(0))  # (C',)

    def forward(self, parents: list[Tensor], size: tuple[int, int], act: Activation | None = None) -> Tensor:
        """Return what the `Fusion` returns."""
        parts = [
            resample.resized(x, size)  # type: ignore[operator]  # it is a Resample or a SeparableResample
            for resample, x in zip(self.resamples, parents, strict=True)
        ]

        total: Tensor = self.project(torch.cat(parts, dim=1) if len(parts) > 1 else parts[0])
        return total if act is None else act(total)


def fold_norms(network: M) -> M:
    """Return a copy in evaluation mode that computes the same, up to rounding, in less time.

    Normalisation is folded into the convolution or linear layer before it; the last convolutions of all parents of a
    block become one. Only where levels share a convolution and not its normalisation, as in the head of RetinaNet and
    in proposals, normalisation stays.
    """
    return _folded(copy.deepcopy(network).eval())


def _folded(module: M) -> M:
    """Return the module, or the one that replaces it."""
    if isinstance(module, ConvNorm):
        return FoldedConv(module)  # type: ignore[return-value]  # takes and returns the same tensors
    if isinstance(module, Fusion):
        return FoldedFusion(module)  # type: ignore[return-value]  # as above

    for name, child in module.named_children():
        setattr(module, name, _folded(child))

    # It runs its layers in the order in which it holds them.
    if isinstance(module, nn.Sequential):
        for (name, layer), (norm_name, norm) in itertools.pairwise(list(module.named_children())):
            fused = _fused(layer, norm)
            if fused is not None:
                setattr(module, name, fused)
                setattr(module, norm_name, nn.Identity())
    return module


def _fused(layer: nn.Module, norm: nn.Module) -> nn.Module | None:
    """Return one layer for two, or None where they are not a layer and the normalisation that it can take in."""
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
        return None
    if isinstance(layer, nn.Linear):
        return fuse_linear_bn_eval(layer, norm)
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        return fuse_conv_bn_eval(layer, norm, transpose=isinstance(layer, nn.ConvTranspose2d))
    return None
