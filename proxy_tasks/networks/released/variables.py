"""The tensors of our layers as TensorFlow has them: by which name, and with which order of axes."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_DENSE_AXES = (3, 2, 0, 1)
"""Those of (out, in, height, width) in TensorFlow's (height, width, in, out); a transposed convolution swaps both."""
_DEPTHWISE_AXES = (2, 3, 0, 1)
"""The same where the channels stand third and one multiplier last."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A tensor of a network that a variable of TensorFlow's goes into.

    Attributes:
        tensor: shares its memory with the network.
        axes: the variable's axes in the order of the tensor's; empty where there is one axis alone.
        rows: which row of the variable, so turned, each row of the tensor is; empty where they have one order.
        columns: the same of the second axis.
    """

    tensor: Tensor
    axes: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the variable."""
        shape = tuple(self.tensor.shape)
        return tuple(shape[self.axes.index(axis)] for axis in range(len(shape))) if self.axes else shape

    def fill(self, values: NDArray[np.generic]) -> None:
        """Copy a variable of this shape into the network.

        Raises:
            ValueError: it has another shape.
        """
        if values.shape != self.shape:
            raise ValueError(f"expected a variable of {self.shape}, got {values.shape}")
        # A copy, as torch takes no array that cannot be written to.
        ordered = np.array(values.transpose(self.axes) if self.axes else values)
        if self.rows:
            ordered = ordered[list(self.rows)]
        if self.columns:
            ordered = ordered[:, list(self.columns)]
        self.tensor.detach().copy_(torch.from_numpy(ordered))


def layer_kind(layer: nn.Module) -> str:
    """Return what TensorFlow calls a plain layer of this kind, by which it counts them."""
    if isinstance(layer, nn.Conv2d):
        return "depthwise_conv2d" if layer.groups > 1 else "conv2d"
    return "batch_normalization"


def layer_slots(layer: nn.Module) -> dict[str, Slot]:
    """Return the tensors of a convolution, a separable one, a normalisation or a linear layer by TensorFlow's names.

    They come in its order.

    Raises:
        TypeError: the layer is none of these.
    """
    if isinstance(layer, nn.Sequential):
        depthwise, pointwise = (layer_slots(part) for part in layer.children())
        return depthwise | {"pointwise_kernel": pointwise["kernel"], "bias": pointwise["bias"]}

    if isinstance(layer, nn.Linear):
        return {"kernel": Slot(layer.weight, (1, 0)), "bias": Slot(layer.bias)}

    if isinstance(layer, nn.Conv2d):
        kernel = ("depthwise_kernel", _DEPTHWISE_AXES) if layer.groups > 1 else ("kernel", _DENSE_AXES)
        slots = {kernel[0]: Slot(layer.weight, kernel[1])}
        return slots if layer.bias is None else slots | {"bias": Slot(layer.bias)}

    if isinstance(layer, nn.ConvTranspose2d) and layer.bias is not None:
        return {"kernel": Slot(layer.weight, _DENSE_AXES), "bias": Slot(layer.bias)}

    if (
        isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d)
        and layer.running_mean is not None
        and layer.running_var is not None
    ):
        return {
            "gamma": Slot(layer.weight),
            "beta": Slot(layer.bias),
            "moving_mean": Slot(layer.running_mean),
            "moving_variance": Slot(layer.running_var),
        }
    raise TypeError(f"expected a convolution, a normalisation or a linear layer, got {layer}")
