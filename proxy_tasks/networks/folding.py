"""A trained network for inference: normalisation folded into the convolution before it."""

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from proxy_tasks.networks.layers import ConvNorm

M = TypeVar("M", bound=nn.Module)


def fold_norms(network: M) -> M:
    """Return a copy in evaluation mode that computes the same with fewer passes over memory.

    Every `ConvNorm` becomes one convolution with a bias. Normalisation that follows a convolution shared over levels,
    as in a RetinaNet head, stays.
    """
    folded = copy.deepcopy(network).eval()
    for module in folded.modules():
        if isinstance(module, ConvNorm):
            conv, norm = module[0], module[1]
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            module[0] = fuse_conv_bn_eval(conv, norm)
            module[1] = nn.Identity()
    return folded
