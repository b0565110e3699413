"""The processes that train one network together, as each of them sees itself, and sums over all of them."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Processes:
    """One process among those that train one network; they are joined by torch's default process group.

    Attributes:
        rank: number of this process, from 0.
        count: number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """True for the process that writes, scores and speaks for all."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Replace a tensor by its sum over all processes, and return it."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def share(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this process's part of (N,) values, as large as the others' or one larger."""
        return np.array_split(values, self.count)[self.rank]


ALONE = Processes()
