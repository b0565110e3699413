"""The contract of an objective: what the steps of a training minimise, as one kind of network has it."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from torch import Tensor, nn

from proxy_tasks.training.processes import Processes


class Images(Protocol):
    """The images of a batch, or some of them, with what is known of them."""

    @property
    def num_images(self) -> int:
        """The number of images."""
        ...


Part = TypeVar("Part", bound=Images)
"""The images of a step, or some of them, as they are read."""
PartIn = TypeVar("PartIn", bound=Images, contravariant=True)
Ready = TypeVar("Ready")
"""The same as the network takes them, augmented, with all that their loss needs."""
ReadyIn = TypeVar("ReadyIn", contravariant=True)


class Gradients(Protocol[ReadyIn]):
    """A way to take the gradients of a step that one GPU takes alone, as one recorded graph."""

    def take(self, part: ReadyIn) -> Tensor:
        """Set all gradients to those of a whole batch, and return its loss, a scalar."""
        ...

    def free(self) -> None:
        """Give back what is kept in the memory of the GPU; the next step takes it again."""
        ...


class Objective(Protocol[PartIn, Ready]):
    """The loss that the steps of a training minimise, with the augmentation that goes before it.

    The loss of a batch is a sum over its parts, which several processes may take, and each of them one after the other:
    what a loss is divided by, as a number of images or of objects, is that of the whole batch.
    """

    def ready(
        self,
        parts: Sequence[PartIn],
        rng: np.random.Generator,
        *,
        num_images: int,
        first: int,
        processes: Processes,
    ) -> list[Ready]:
        """Return the parts of this process as the network takes them.

        Args:
            parts: the images of this process.
            rng: the same in every process; what is drawn is drawn for all images of the step, so that neither the
                number of processes nor that of parts changes anything.
            num_images: images of the step over all processes.
            first: number of this process's first image among them.
            processes: those that train together; each of them calls this, and may add up numbers by them.
        """
        ...

    def loss(self, network: nn.Module, part: Ready) -> Tensor:
        """Return what a part adds to the loss of the batch, a scalar with a gradient."""
        ...

    def recorded(self, network: nn.Module, parameters: list[nn.Parameter]) -> Gradients[Ready] | None:
        """Return what takes the gradients of whole steps on one GPU; None where each is launched operator by operator.

        Args:
            network: the network, on a GPU.
            parameters: those of each group of the optimizer, as `flatten_groups` returns them.
        """
        ...
