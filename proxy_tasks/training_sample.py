"""A training image to look at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSample:
    """An image as a network is trained on it: resized, augmented, in its square.

    Attributes:
        pixels: (S, S, 3) uint8 RGB.
        boxes_xyxy: (N, 4) corners in pixels of the square.
        labels: (N,) class index of each box.
        names: class of each box, in words.
    """

    pixels: NDArray[np.uint8]
    boxes_xyxy: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
