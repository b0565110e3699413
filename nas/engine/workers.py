"""The workers of a search at one moment, as a value: how many are up, how many are starting, and how a start failed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from foundation import printable
from nas.record.trial import Failure


@dataclass(frozen=True, slots=True)
class Gpu:
    """The GPU of a worker at one moment.

    Attributes:
        name: its model.
        free_bytes: memory that nobody has taken.
        total_bytes: all of its memory.
    """

    name: str
    free_bytes: int
    total_bytes: int

    def __post_init__(self) -> None:
        # Shown in terminals, and a name comes from another machine.
        object.__setattr__(self, "name", printable(self.name))


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers of a search at one moment.

    Attributes:
        num_up: workers that run jobs or can.
        num_starting: workers that wait for a free slot, start their process or load the task.
        failed_start: the reason why a start has just failed, where one has; another worker is started in its place.
        remark: a line for a person on how they run, in the one call that it is said in.
        gpus: the GPU of each worker that uses one, as it was when the worker came up or last ended a trial.
    """

    num_up: int
    num_starting: int = 0
    failed_start: Failure | None = None
    remark: str = ""
    gpus: tuple[Gpu, ...] = ()


OnWorkers: TypeAlias = Callable[[Workers], None]
"""Called with the workers that there are, each time that changes."""


def ignore_workers(workers: Workers) -> None:
    """Do nothing."""
