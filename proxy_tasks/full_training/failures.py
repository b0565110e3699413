"""Failures of a full training that a person can do something about, each in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from foundation import InputError
from proxy_tasks.base import NonFiniteLossError
from proxy_tasks.gpu_failures import is_gpu_lost
from proxy_tasks.training.gpu_memory import peak_named


@contextmanager
def failures_in_one_line(device: torch.device) -> Iterator[None]:
    """Have what ends a training within the block say what to do.

    Args:
        device: the network's.

    Raises:
        InputError: the training diverged, or its GPU has too little memory or is lost.
    """
    try:
        with peak_named(device, "images_at_once or scale.image_size_px"):
            yield
    except NonFiniteLossError as error:
        raise InputError(
            f"the training diverged: {error}; a lower protocol.learning_rate or a longer protocol.warmup_steps may help"
        ) from None
    except torch.OutOfMemoryError as error:
        raise InputError(str(error)) from None
    except RuntimeError as error:
        if not is_gpu_lost(error):
            raise
        first_line = str(error).splitlines()[0]
        raise InputError(
            f"the GPU is lost ({first_line}); the same command resumes from the last checkpoint"
        ) from error
