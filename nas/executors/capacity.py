"""How many workers the nodes of a cluster hold."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster."""

    id: str
    name: str
    is_alive: bool
    num_cpus: int
    num_gpus: float


@dataclass(frozen=True, slots=True)
class Room:
    """What a worker asks for, and how many workers there may be.

    Attributes:
        cpus: of each worker.
        gpus: of each worker, a fraction or a whole number.
        max_workers: None for as many as the nodes hold.
        may_grow: ask for `max_workers` even where the nodes do not hold them, so that an autoscaler adds nodes.
    """

    cpus: int
    gpus: float
    max_workers: int | None = None
    may_grow: bool = False

    def num_workers(self, nodes: Sequence[Node]) -> int:
        """Return how many workers to have on these nodes."""
        if self.may_grow and self.max_workers is not None:
            return self.max_workers
        held = sum(self._held(node) for node in nodes if node.is_alive)
        return held if self.max_workers is None else min(held, self.max_workers)

    def _held(self, node: Node) -> int:
        held = node.num_cpus // self.cpus
        if self.gpus > 1:
            held = min(held, int(node.num_gpus // self.gpus))
        elif self.gpus > 0:
            # A fraction is taken from one GPU, never from two.
            held = min(held, int(node.num_gpus) * int(1 / self.gpus))
        return held
