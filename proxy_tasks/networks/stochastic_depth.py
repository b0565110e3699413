"""Stochastic depth: in training some samples skip a branch, as drawn for the whole batch that they are a part of."""

import torch
from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """Skips a branch for some samples, and scales the branch of the others up by 1 / (1 - p); only in training.

    Equal to torchvision's, number for number, where a batch is taken at once. Where it is taken in parts, by several
    processes or one after the other, `take_part` has each part draw for the whole batch: from the same seed, samples
    then skip what they would have skipped in one batch.

    Attributes:
        p: share of samples that skip.

    Source: Deep Networks with Stochastic Depth (arXiv 1603.09382); torchvision.ops.stochastic_depth, mode `row`.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._first = 0
        self._num_samples: int | None = None

    def take_part(self, first: int, num_samples: int) -> None:
        """Say which part of a batch comes next: it begins with sample `first` of `num_samples`."""
        self._first, self._num_samples = first, num_samples

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) with the samples that skip set to zero."""
        if not self.training:
            return x

        kept = 1 - self.p
        num_drawn = len(x) if self._num_samples is None else self._num_samples
        noise = torch.empty((num_drawn, 1, 1, 1), dtype=x.dtype, device=x.device).bernoulli_(kept)
        if kept > 0:
            noise.div_(kept)
        return x * noise[self._first : self._first + len(x)]

    def extra_repr(self) -> str:
        """Return the share."""
        return f"p={self.p}"
