"""What a head needs to know of the network below it."""

from typing import Protocol

from torch import Tensor


class Backbone(Protocol):
    """What a head needs to know of a network that makes features."""

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
