"""An exponential moving average of a network's weights, which often scores better than the last weights do."""

from collections.abc import Iterable

import torch
from torch import nn


class WeightAverage:
    """The average of parameters over training steps.

    Args:
        parameters: those that are trained.
        decay: share of the old average that a step keeps, once the first steps are over.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self._parameters = list(parameters)
        self._average = [p.detach().clone() for p in self._parameters]
        self._decay = decay

    def update(self, step: int) -> None:
        """Take in the weights after a step; steps count from 0."""
        # As TensorFlow does: the first steps keep less, so that the average forgets the random start.
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._average, [p.detach() for p in self._parameters], 1 - decay)

    @torch.no_grad()
    def put_in_place(self) -> None:
        """Replace the parameters by their average."""
        for p, averaged in zip(self._parameters, self._average, strict=True):
            p.copy_(averaged)
