"""The capacity of a cluster: how many workers its nodes hold."""

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
class WorkerSlots:
    """The slots for workers on a cluster: what each takes of a node, and how many there may be.

    Attributes:
        cpus: cores of each slot.
        gpus: GPUs of each slot, a fraction or a whole number.
        max_workers: most workers at a time; None for as many as the nodes hold.
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
        num_slots = sum(self._num_slots(node) for node in nodes if node.is_alive)
        return num_slots if self.max_workers is None else min(num_slots, self.max_workers)

    def _num_slots(self, node: Node) -> int:
        by_cpus = node.num_cpus // self.cpus
        if self.gpus == 0:
            return by_cpus
        if self.gpus > 1:
            return min(by_cpus, int(node.num_gpus // self.gpus))
        # A fraction is taken from one GPU, never from two.
        return min(by_cpus, int(node.num_gpus) * int(1 / self.gpus))
