"""Sampling of anchors and proposals for a loss, seeded for each image."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler


class SeededSampler:
    """torchvision's sampler with a seed for each image: a training that resumes samples what it would have sampled.

    torchvision draws from a generator that all images share. So what is sampled in one would depend on those before it,
    and on what else has drawn.

    Attributes:
        num_sampled: elements that were sampled last, over all images.
        num_positive: those among them that are positive.

    Args:
        sampler: torchvision's own.
    """

    def __init__(self, sampler: BalancedPositiveNegativeSampler) -> None:
        self._sampler = sampler
        self._seeds: Sequence[int] = ()
        self.num_sampled = self.num_positive = 0

    @classmethod
    def around(cls, sampler: "BalancedPositiveNegativeSampler | SeededSampler") -> "SeededSampler":
        """Return a sampler with seeds; one that has them already, as of an earlier objective, is taken as it is."""
        return sampler if isinstance(sampler, cls) else cls(sampler)

    def seed(self, seeds: Sequence[int]) -> None:
        """Set the seeds of the images that come next."""
        self._seeds = seeds

    def __call__(self, matched: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return for each image which of its elements are sampled as positive, and which as negative."""
        positive, negative = [], []
        for one, seed in zip(matched, self._seeds, strict=True):
            torch.manual_seed(seed)
            (own_positive,), (own_negative,) = self._sampler([one])
            positive.append(own_positive)
            negative.append(own_negative)

        self.num_positive = int(torch.cat(positive).sum())
        self.num_sampled = self.num_positive + int(torch.cat(negative).sum())
        return positive, negative
