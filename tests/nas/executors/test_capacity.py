import pytest

from nas.executors.capacity import Node, Room


def node(num_cpus: int, num_gpus: float = 0.0, is_alive: bool = True) -> Node:
    return Node("id", "name", is_alive, num_cpus, num_gpus)


@pytest.mark.parametrize(
    ("room", "nodes", "expected"),
    [
        (Room(1, 0), [node(4), node(2)], 6),
        (Room(3, 0), [node(4), node(5)], 2),
        (Room(1, 0, max_workers=3), [node(4), node(2)], 3),
        (Room(1, 0), [node(4), node(2, is_alive=False)], 4),
        (Room(1, 0), [node(0)], 0),
        (Room(2, 1), [node(16, 4), node(16)], 4),
        # A fraction comes from one GPU: two of 0.4 fit on each, not ten on four.
        (Room(1, 0.4), [node(16, 4)], 8),
        (Room(1, 0.5), [node(3, 4)], 3),
        # Several come from one node: two nodes of three GPUs hold one worker of two each.
        (Room(1, 2), [node(8, 3), node(8, 3)], 2),
        # Where a cluster may grow, all are asked for.
        (Room(1, 1, max_workers=8, may_grow=True), [node(0)], 8),
    ],
)
def test_workers_fit_into_nodes(room: Room, nodes: list[Node], expected: int) -> None:
    assert room.num_workers(nodes) == expected
