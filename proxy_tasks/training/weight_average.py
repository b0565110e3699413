"""An exponential moving average of a network's weights, which often scores better than the last weights do."""

from collections.abc import Iterable

import torch
from torch import Tensor


class WeightAverage:
    """The average of tensors over training steps.

    Args:
        tensors: parameters that are trained, and statistics that are to be averaged with them.
        decay: share of the old average that a step keeps, once the first steps are over.
    """

    def __init__(self, tensors: Iterable[Tensor], decay: float) -> None:
        self._tensors = [tensor.detach() for tensor in tensors]
        self._average = [tensor.clone() for tensor in self._tensors]
        self._decay = decay

    def update(self, step: int) -> None:
        """Take in the weights after a step; steps count from 0."""
        # As TensorFlow does: the first steps keep less, so that the average forgets the random start.
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._average, self._tensors, 1 - decay)

    def put_in_place(self) -> None:
        """Replace the weights by their average."""
        for tensor, averaged in zip(self._tensors, self._average, strict=True):
            tensor.copy_(averaged)

    def swap(self) -> None:
        """Exchange the weights and their average; once more, and each is where it was."""
        for tensor, averaged in zip(self._tensors, self._average, strict=True):
            weights = tensor.clone()
            tensor.copy_(averaged)
            averaged.copy_(weights)
