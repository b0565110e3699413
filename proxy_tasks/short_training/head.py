"""The contract of a head in a trial: all that a short training needs to know of what it trains and scores.

Opening data, seeds, weights to start from and to keep, the loop, statistics, costs and latency are in one place for all
heads.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.coco.open_data import OpenData
from proxy_tasks.training.objective import Objective, Part, Ready
from proxy_tasks.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class StatisticsPass(Generic[Part]):
    """A part of a network whose normalisation takes its statistics by itself.

    Attributes:
        module: the part.
        run: runs images through the network as far as the part goes, in the mode that its modules are in.
        in_large_batches: whether batches may be larger than those of the training; see `retake_statistics`.
    """

    module: nn.Module
    run: Callable[[Part], object]
    in_large_batches: bool = True


@runtime_checkable
class TrialHead(Protocol[Part, Ready]):
    """One kind of network in a trial. It is made anew for each, and holds no state of it."""

    def objective(self, network: nn.Module, recipe: Recipe, *, bf16: bool) -> Objective[Part, Ready]:
        """Return what the training of a network minimises, which is on its device."""
        ...

    def batches(self, split: CachedSplit, steps: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[Part]:
        """Yield the images of each element of `steps`, (B,) rows.

        Raises:
            BadDataError: the images cannot be read.
        """
        ...

    def statistics(self, network: nn.Module, *, bf16: bool) -> Sequence[StatisticsPass[Part]]:
        """Return the parts of a network whose statistics are taken one after the other, each with how it is run."""
        ...

    def metrics(self, network: nn.Module, data: OpenData, *, bf16: bool) -> dict[str, float]:
        """Return the figures of a network on the images to score; it may be left in inference mode.

        Raises:
            BadDataError: the images cannot be read.
        """
        ...
