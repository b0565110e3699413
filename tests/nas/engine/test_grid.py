"""A search over a grid: each architecture once, also across kills and promotions, and an end that is no error."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from controllers.grid import GridSearch
from nas.engine.job import Job, Outcome
from nas.engine.loop import Search
from nas.record.journal import Journal, read_record
from nas.record.promotion import Promotion
from nas.record.trial import Failure, Trial
from tests.nas.engine.test_loop import SMALL_SPACE, evaluate, make_search

NUM_POINTS = 4


def run_with_two_workers(search: Search, num_results: int) -> None:
    """Give out two jobs at a time and stop after so many results, as a kill does."""
    running: list[Job] = []
    for _ in range(num_results):
        while len(running) < 2 and (job := search.start_trial()) is not None:
            running.append(job)
        if not running:
            return
        search.finish_trial(evaluate(running.pop(0)))
    search.start_trial()


def proposed(trials: Sequence[Trial], rung: int) -> list[str]:
    return [trial.key for trial in trials if trial.rung == rung]


@pytest.mark.parametrize("num_rungs", [1, 2])
@pytest.mark.parametrize("kill_after", [100, 1, 2, 3])
def test_each_architecture_is_trained_once_and_the_end_is_no_error(
    tmp_path: Path, num_rungs: int, kill_after: int
) -> None:
    said: list[str] = []
    for num_results in (kill_after, 100):
        with Journal(tmp_path, {}) as journal:
            promotion = Promotion(num_rungs=num_rungs, reduction=2)
            grid = GridSearch(SMALL_SPACE)
            search = make_search(journal, 50, grid, SMALL_SPACE, promotion=promotion, on_stop=said.append)
            run_with_two_workers(search, num_results)
    assert search.why_stopped is None
    assert said[-1] == "all 4 architectures of the space were proposed"

    trials = list(read_record(tmp_path).trials.values())
    assert all(trial.status == "completed" for trial in trials)
    assert len(proposed(trials, 0)) == len(set(proposed(trials, 0))) == NUM_POINTS
    assert len(proposed(trials, 1)) == len(set(proposed(trials, 1))) == (2 if num_rungs == 2 else 0)


def test_what_failed_is_not_proposed_again(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, 50, GridSearch(SMALL_SPACE), SMALL_SPACE)
        while (job := search.start_trial()) is not None:
            outcome = evaluate(job)
            search.finish_trial(Outcome(job.trial, Failure("nan", "no loss")) if job.trial == 0 else outcome)
    assert len(read_record(tmp_path).trials) == NUM_POINTS
