"""The smallest parts of the networks: activation, convolution with normalisation, and pooling as TensorFlow pads."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxy_tasks.networks.fused_norm import can_fuse, fused_norm

Reference: TypeAlias = Literal["tpu", "model_garden"]
"""The released network to follow where the two differ.

`tpu` is tensorflow/tpu, the paper's; `model_garden` is tensorflow/models. The latter pads strided convolutions after
the image rather than on both sides, pools several times by two rather than once, and its mobile blocks excite with
ReLU and a piecewise linear gate.
"""

# tensorflow/models trains SpineNet with batch-norm momentum 0.99 and epsilon 1e-3; PyTorch's momentum is 1 - 0.99.
NORM_MOMENTUM = 0.01
NORM_EPSILON = 1e-3
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
"""The normalisations of networks; one dimension has the fully connected layer of a box head."""
# A normal distribution cut at two deviations has this deviation left, so TensorFlow divides by it.
_TRUNCATED_STD = 0.87962566103423978


@dataclass(frozen=True, slots=True)
class LayerStyle:
    """Properties that all layers of one backbone share.

    Attributes:
        activation: `relu` or `silu`.
        reference: code whose paddings and pools it has; see `Reference`.
    """

    activation: Literal["relu", "silu"]
    reference: Reference = "tpu"

    def __post_init__(self) -> None:
        if self.reference not in ("tpu", "model_garden"):
            raise ValueError(f"reference must be tpu or model_garden, got {self.reference!r}")


class Activation(nn.Module):
    """ReLU or SiLU, in place where the input is needed no more.

    The input must be a fresh tensor that its maker's gradient does not need, as a sum or what a normalisation returns.
    SiLU's own gradient needs its input: in place, autograd would copy it first.
    """

    def __init__(self, name: Literal["relu", "silu"]) -> None:
        super().__init__()
        self.name: Literal["relu", "silu"] = name

    def forward(self, x: Tensor) -> Tensor:
        """Return the input's shape."""
        match self.name:
            case "relu":
                return F.relu(x, inplace=True)
            case "silu":
                return F.silu(x, inplace=not x.requires_grad)
            case _:
                assert_never(self.name)

    def extra_repr(self) -> str:
        """Return the function's name."""
        return self.name


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch normalisation and, if named, an activation.

    Weights start as in the reference, see `init_kernel`; no normalisation starts at zero.

    Args:
        c_in: channels read.
        c_out: channels returned.
        kernel_size: side in pixels.
        style: the reference decides where a strided convolution pads: `kernel_size // 2` on both sides, or as
            TensorFlow's SAME.
        stride: in pixels.
        activate: whether an activation follows.
        depthwise: each channel by itself.

    Source: tensorflow/tpu nn_ops.py conv2d_fixed_padding.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel_size: int,
        style: LayerStyle,
        *,
        stride: int = 1,
        activate: bool = True,
        depthwise: bool = False,
    ) -> None:
        self_pads = stride > 1 and style.reference == "model_garden"
        padding = 0 if self_pads else kernel_size // 2
        groups = c_in if depthwise else 1
        conv = nn.Conv2d(c_in, c_out, kernel_size, stride, padding=padding, groups=groups, bias=False)
        init_kernel(conv)
        super().__init__(conv, batch_norm(c_out), *([Activation(style.activation)] if activate else []))
        self._is_strided = stride > 1
        self.same_padding = (kernel_size, stride) if self_pads else None

    def parts(self) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
        """Return the convolution and the normalisation."""
        conv, norm = self[0], self[1]
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            raise TypeError(f"expected a convolution and a batch normalisation, got {self}")
        return conv, norm

    def forward(self, x: Tensor, *, plus: Tensor | None = None, act: Activation | None = None) -> Tensor:
        """Return (B, c_out, ceil(H / stride), ceil(W / stride)).

        Args:
            x: (B, c_in, H, W).
            plus: what is added to the normalised result, of its shape.
            act: activation of the sum, where the layer has none itself.
        """
        if self.same_padding is not None:
            x = pad_same(x, *self.same_padding)

        if self._is_strided and x.shape[-1] == 1 and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # On CPUs torch 2.15 computes the bfloat16 weight gradient of a strided convolution of one-pixel-wide inputs
            # from memory that it never wrote: now and then not a number.
            with torch.autocast("cpu", enabled=False):
                return self._computed(x.float(), plus, act)
        return self._computed(x, plus, act)

    def _computed(self, x: Tensor, plus: Tensor | None, act: Activation | None) -> Tensor:
        conv, norm, *own = self.children()
        if not own:
            return normalise(norm, conv(x), plus=plus, act=act)
        if len(own) == 1 and isinstance(own[0], Activation):
            return normalise(norm, conv(x), plus=plus, act=own[0])

        # Layers that somebody has put there.
        out = normalise(norm, conv(x), plus=plus)
        for layer in own:
            out = layer(out)
        return out


def normalise(norm: nn.Module, x: Tensor, *, plus: Tensor | None = None, act: Activation | None = None) -> Tensor:
    """Return `act(norm(x) + plus)`, a fresh tensor of x's shape; without `plus` and `act` where they are None.

    In a training on a GPU that is one operator, see `fused_norm`.
    """
    if can_fuse(norm, x, plus):
        return fused_norm(norm, x, plus=plus, activation="" if act is None else act.name)

    out: Tensor = norm(x)
    if plus is not None:
        # In place, as normalisation does not need what it returned.
        out += plus
    return out if act is None else act(out)


def conv_and_normalise(conv: nn.Module, norm: nn.Module, x: Tensor, act: Activation) -> Tensor:
    """Return `act(norm(conv(x)))`, of a convolution that may have a bias.

    The bias comes to nothing in the batch's own statistics: on a GPU it is neither added nor given a gradient.
    """
    if isinstance(conv, nn.Conv2d) and conv.bias is not None and can_fuse(norm, x):
        out = F.conv2d(x, conv.weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)
        return fused_norm(norm, out, shift=conv.bias, activation=act.name)
    return normalise(norm, conv(x), act=act)


def joined(layers: Sequence[ConvNorm]) -> ConvNorm:
    """Return one layer that gives the channels of several, one after the other, of the input that they all read.

    The layers must be new and alike; their kernels are kept. One wide convolution reads its input once, and narrow ones
    are slow besides: four channels do not fill a vector of a processor.
    """
    whole = copy.deepcopy(layers[0])
    conv, _ = whole.parts()
    weight = torch.cat([layer.parts()[0].weight.detach() for layer in layers])  # (sum of c_out, c_in, k, k)
    conv.weight, conv.out_channels = nn.Parameter(weight), len(weight)
    whole[1] = batch_norm(len(weight))
    return whole


def separated(whole: ConvNorm, num_layers: int) -> list[ConvNorm]:
    """Return the layers that one was joined from; they share its weights and statistics."""
    conv, norm = whole.parts()
    kernels, scales, offsets, means, variances = (
        tensor.detach().chunk(num_layers)
        for tensor in (conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
        if tensor is not None
    )

    layers = []
    for i, kernel in enumerate(kernels):
        layer = copy.deepcopy(whole)
        conv, norm = layer.parts()
        conv.out_channels = norm.num_features = len(kernel)
        conv.weight = nn.Parameter(kernel)
        norm.weight, norm.bias = nn.Parameter(scales[i]), nn.Parameter(offsets[i])
        norm.running_mean, norm.running_var = means[i], variances[i]
        layers.append(layer)
    return layers


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return a normalisation as tensorflow/models and the paper's Mask R-CNN have it."""
    return nn.BatchNorm2d(channels, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)


def set_norm_epsilon(network: nn.Module, epsilon: float) -> None:
    """Have every batch normalisation of a network add this number to its variances."""
    for module in network.modules():
        if isinstance(module, BATCH_NORMS):
            module.eps = epsilon


def set_norm_momentum(network: nn.Module, momentum: float) -> None:
    """Have the running statistics of every batch normalisation keep this share of themselves in a step."""
    for module in network.modules():
        if isinstance(module, BATCH_NORMS):
            module.momentum = 1 - momentum


def init_kernel(conv: nn.Conv2d) -> None:
    """Draw a kernel as TensorFlow does in the reference.

    Variance 1 / fan-in, truncated at two deviations; depthwise kernels uniform after Glorot.
    """
    if conv.groups > 1:
        nn.init.xavier_uniform_(conv.weight)
        return

    fan_in = conv.weight[0].numel()
    std = math.sqrt(1 / fan_in) / _TRUNCATED_STD
    nn.init.trunc_normal_(conv.weight, std=std, a=-2 * std, b=2 * std)


def same_max_pool(x: Tensor, kernel_size: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Max-pool (B, C, H, W) to ceil(H / stride), ceil(W / stride) where TensorFlow's SAME puts the windows.

    SAME pads the smaller half before and the larger half after the image. On even sizes kernel 3 with stride 2 pads
    nothing before; PyTorch's usual `padding=1` would shift every window by one pixel.
    """
    size = (x.shape[-2], x.shape[-1])
    totals = [_same_total(pixels, k, s) for pixels, k, s in zip(size, kernel_size, stride, strict=True)]

    # ceil_mode supplies the pixel that an odd total has more after the image. Nothing else needs it, and where windows
    # lie apart it would count one that starts beyond the image: PyTorch drops that again, ONNX does not.
    ceil_mode = any(total % 2 for total in totals)
    if ceil_mode:
        # One axis may need it where windows lie apart along the other: what none of them reads is left out.
        read = [_last_read(pixels, k, s) for pixels, k, s in zip(size, kernel_size, stride, strict=True)]
        x = x[..., : read[0], : read[1]] if tuple(read) != size else x

    return F.max_pool2d(x, kernel_size, stride, padding=[total // 2 for total in totals], ceil_mode=ceil_mode)


def ceil_divided(size: int, stride: int) -> int:
    """Return `ceil(size / stride)` in whole numbers, which exporters can follow where a size is not fixed."""
    return (size + stride - 1) // stride


def _same_total(size: int, kernel_size: int, stride: int) -> int:
    """Return how many pixels TensorFlow's SAME adds along one axis."""
    return max((ceil_divided(size, stride) - 1) * stride + kernel_size - size, 0)


def _last_read(size: int, kernel_size: int, stride: int) -> int:
    """Return the number of pixels along one axis up to the last that TensorFlow's SAME reads."""
    return min(size, (ceil_divided(size, stride) - 1) * stride + kernel_size)


def pad_same(x: Tensor, kernel_size: int, stride: int) -> Tensor:
    """Pad (B, C, H, W) with zeros as TensorFlow's SAME does before a convolution."""
    pads: list[int] = []
    for size in (x.shape[-1], x.shape[-2]):
        total = _same_total(size, kernel_size, stride)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)
