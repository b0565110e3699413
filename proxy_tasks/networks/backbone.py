"""The contract of a backbone: what a head needs to know of the network below it."""

from typing import Protocol

from torch import Tensor


class Backbone(Protocol):
    """A network that makes features, as a head sees it."""

    @property
    def output_levels(self) -> tuple[int, ...]:
        """Levels of the features, finest first."""
        ...

    @property
    def output_channels(self) -> int:
        """Channels of each feature."""
        ...

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return one feature for each level."""
        ...
