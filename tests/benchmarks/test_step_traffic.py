"""Budgets of a training step on a GPU, at the paper's scale and the recipe's batch of 64, counted without one.

That the step runs on torch's meta device says besides that nothing in it asks for a value: no wait, and no shape that
depends on data.
"""

import pytest

from benchmarks.step_traffic import BATCH_SIZE, REPLAYED, Traffic, step_traffic

MAX_BYTES_AN_IMAGE = 800e6
MAX_LAUNCHES_OUTSIDE = 700


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return step_traffic()


def test_a_step_moves_at_most_800_mb_an_image(traffic: Traffic) -> None:
    assert sum(traffic.num_bytes.values()) / BATCH_SIZE <= MAX_BYTES_AN_IMAGE


def test_a_step_launches_at_most_700_operators_outside_of_its_graph(traffic: Traffic) -> None:
    outside = [count for phase, count in traffic.num_operators.items() if phase not in REPLAYED]
    assert len(outside) == 3
    assert sum(outside) <= MAX_LAUNCHES_OUTSIDE


def test_the_loss_reads_and_writes_each_logit_once(traffic: Traffic) -> None:
    logits = 49104 * 80 * 2  # bytes of an image
    assert traffic.by_operator["loss", "spinenet_search::class_loss"] / BATCH_SIZE < 2.1 * logits
