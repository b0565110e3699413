import pytest

from nas.executors.capacity import Node, WorkerSlots


def node(num_cpus: int, num_gpus: float = 0.0, is_alive: bool = True) -> Node:
    return Node("id", "name", is_alive, num_cpus, num_gpus)


@pytest.mark.parametrize(
    ("slots", "nodes", "expected"),
    [
        (WorkerSlots(1, 0), [node(4), node(2)], 6),
        (WorkerSlots(3, 0), [node(4), node(5)], 2),
        (WorkerSlots(1, 0, max_workers=3), [node(4), node(2)], 3),
        (WorkerSlots(1, 0), [node(4), node(2, is_alive=False)], 4),
        (WorkerSlots(1, 0), [node(0)], 0),
        (WorkerSlots(2, 1), [node(16, 4), node(16)], 4),
        # A fraction comes from one GPU: two of 0.4 fit on each, not ten on four.
        (WorkerSlots(1, 0.4), [node(16, 4)], 8),
        (WorkerSlots(1, 0.5), [node(3, 4)], 3),
        # Several come from one node: two nodes of three GPUs hold one worker of two each.
        (WorkerSlots(1, 2), [node(8, 3), node(8, 3)], 2),
        # Where a cluster may grow, all are asked for.
        (WorkerSlots(1, 1, max_workers=8, may_grow=True), [node(0)], 8),
    ],
)
def test_workers_fit_into_nodes(slots: WorkerSlots, nodes: list[Node], expected: int) -> None:
    assert slots.num_workers(nodes) == expected
