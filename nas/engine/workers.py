"""The workers of a search at one moment, as a value: how many are up, how many are starting, and how a start failed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from nas.record.trial import Failure


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers of a search at one moment.

    Attributes:
        num_up: workers that run jobs or can.
        num_starting: workers that wait for a free slot, start their process or load the task.
        failed_start: the reason why a start has just failed, where one has; another worker is started in its place.
        remark: a line for a person on how they run, in the one call that it is said in.
    """

    num_up: int
    num_starting: int = 0
    failed_start: Failure | None = None
    remark: str = ""


OnWorkers: TypeAlias = Callable[[Workers], None]
"""Called with the workers that there are, each time that changes."""


def ignore_workers(workers: Workers) -> None:
    """Do nothing."""
