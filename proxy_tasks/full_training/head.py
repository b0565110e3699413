"""The contract of a head: all that a full training needs to know of what it trains.

The trainer has one loop for every head. It asks the head for the data, the network, the loss and the score, and writes
what it is given; steps, checkpoints, processes, averages, measurements and the journal are its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from proxy_tasks.coco.open_data import OpenData
from proxy_tasks.full_training.starting_weights import Start
from proxy_tasks.training.objective import Objective, Part, Ready
from proxy_tasks.training.recipe import Recipe

Found = TypeVar("Found")
"""The answers of a network for some images; plain values that one process can send to another."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Weights to write, with what the training knows of them.

    Attributes:
        raw: state of the network after a step.
        averaged: the same with the average of weights and statistics; None where there is none.
        norm_epsilon: of the normalisation.
        recipe: how they were trained, by the names of its options.
        metrics: figures by name, of the averaged weights where there are some.
    """

    raw: Mapping[str, Tensor]
    averaged: Mapping[str, Tensor] | None
    norm_epsilon: float
    recipe: Mapping[str, Any]
    metrics: Mapping[str, float]


@runtime_checkable
class Head(Protocol[Part, Ready, Found]):
    """One kind of network in a full training, made from a `TrainingPlan` in every process."""

    @property
    def data(self) -> OpenData:
        """The images: its `full_train_rows` are trained on, its `scored_rows` are scored."""
        ...

    @property
    def num_scored(self) -> int:
        """The number of what the figures count: the fewer, the less they say."""
        ...

    @property
    def start(self) -> Start | None:
        """The trained network that it starts from; None for new weights."""
        ...

    def build(self) -> nn.Module:
        """Return the network with the weights that it starts from; new ones are drawn from torch's own generator.

        Raises:
            InputError: the weights that it is to start from cannot be used.
            ValueError: a scale that does not fit.
        """
        ...

    def objective(self, network: nn.Module, recipe: Recipe, *, bf16: bool) -> Objective[Part, Ready]:
        """Return what the training of a network minimises, which is on its device."""
        ...

    def batches(self, steps: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[Part]:
        """Yield the images of each element of `steps`, (B,) rows of `data.train`."""
        ...

    def find(self, network: nn.Module, rows: NDArray[np.int64], *, bf16: bool) -> Found:
        """Return what the network says of `rows`, some of the images to score; it may stay in inference mode."""
        ...

    def metrics(self, found: Sequence[Found]) -> dict[str, float]:
        """Return the figures of all images to score, from what was found in the share of each process."""
        ...

    def save(self, path: Path, trained: Trained) -> None:
        """Write the file that people use; it appears whole or not at all, and stays below the run folder.

        Raises:
            InputError: it cannot be written; what was there before is untouched.
        """
        ...
