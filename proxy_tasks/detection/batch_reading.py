"""Reading the batches of a trial: images that cannot be read are bad data of this machine."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from proxy_tasks.base import BadDataError
from proxy_tasks.coco.batches import Batch, load_batches
from proxy_tasks.coco.cache import CachedSplit


def read_batches(split: CachedSplit, steps: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[Batch]:
    """Yield the batches of `load_batches`.

    Raises:
        BadDataError: the images cannot be read; most often the disk fails.
    """
    try:
        yield from load_batches(split, steps, device)
    except OSError as error:
        raise BadDataError(f"cannot read the image cache: {error}") from error
