"""What tests of a GPU share."""

import warnings
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

import pytest
import torch

WatchWaits: TypeAlias = Callable[[Literal["default", "warn", "error"]], None]


@pytest.fixture
def watch_waits() -> Iterator[WatchWaits]:
    """Say what torch does from now on where the processor waits for the GPU; after the test it waits as ever."""

    def watch(mode: Literal["default", "warn", "error"]) -> None:
        # It warns the first time that not every wait is seen: the mode is on all the same.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Synchronization debug mode")
            torch.cuda.set_sync_debug_mode(mode)

    yield watch
    torch.cuda.set_sync_debug_mode("default")
