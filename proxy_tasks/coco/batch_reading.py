"""Reading the batches of a trial: images that cannot be read are bad data of this machine."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from proxy_tasks.base import BadDataError
from proxy_tasks.coco.batches import Batch, load_batches
from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.coco.originals import Originals, load_originals


def read_batches(split: CachedSplit, steps: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[Batch]:
    """Yield the batches of `load_batches`.

    Raises:
        BadDataError: the images cannot be read; most often the disk fails.
    """
    with _readable():
        yield from load_batches(split, steps, device)


def read_originals(split: CachedSplit, steps: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[Originals]:
    """Yield the batches of `load_originals`.

    Raises:
        BadDataError: the images cannot be read; most often the disk fails.
    """
    with _readable():
        yield from load_originals(split, steps, device)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadDataError(f"cannot read the image cache: {error}") from error
