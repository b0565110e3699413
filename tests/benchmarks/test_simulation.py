"""Searches in simulated time."""

import pytest

from benchmarks.simulation import SimulatedExecutor, compose_config, memory_folder, seeded
from nas.record.journal import Journal


@pytest.mark.long
def test_on_a_table_trials_end_after_their_recorded_durations() -> None:
    num_workers = 6
    setup = seeded(compose_config("random", "table"), 0, num_workers)
    with memory_folder() as folder, Journal(folder, {}) as journal:
        SimulatedExecutor(num_workers, setup.seed).run(setup.search(journal), setup.task)
        told, trials = journal.record.told, journal.record.trials

    # All begin at once. What is refused has no duration on record.
    completed = [number for number in told if trials[number].status == "completed"]
    assert len(completed) > num_workers // 2
    assert completed == sorted(completed, key=lambda number: sum(trials[number].seconds.values()))
    assert completed != sorted(completed)
