"""The cost of a search, by hand, and against a search that really promotes."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from nas.engine.cost import measured_cost, plain_trainings, search_trainings
from nas.engine.plan import Plan
from nas.record.journal import Journal, read_record
from nas.record.promotion import Promotion
from nas.record.stopping import Stopping
from proxy_tasks import Fidelity
from tests.nas.engine.test_stopped_trials import STOPPING, make_search, run_all

RUNGS = Promotion(num_rungs=3, reduction=3)
PLAN = Plan(117, 0, Fidelity(1), promotion=RUNGS)
"""81 trials, of which 27 are promoted once and 9 of these again: 1, 3 and 9 epochs."""


def test_rungs_cost_the_epochs_that_each_adds_and_the_plain_search_the_longest_for_all() -> None:
    found = search_trainings(PLAN)
    assert [(one.number, one.epochs) for one in found] == [(81, 1), (27, 2), (9, 6)]
    assert sum(one.total_epochs[1] for one in found) == 81 + 54 + 54
    assert plain_trainings(PLAN).total_epochs == (81 * 9, 81 * 9)
    # From scratch each rung trains all of its epochs.
    again = search_trainings(replace(PLAN, promotion=replace(RUNGS, keep_weights=False)))
    assert [one.epochs for one in again] == [1, 3, 9]


def test_a_search_without_rungs_and_stopping_is_the_plain_one() -> None:
    plan = Plan(100, 0, Fidelity(5))
    (trials,) = search_trainings(plan)
    assert trials.total_epochs == plain_trainings(plan).total_epochs == (500, 500)


def test_stopping_leaves_between_all_and_what_is_left_of_the_worst_until_it_is_measured() -> None:
    plan = replace(PLAN, stopping=Stopping((0.5, 0.25), worst=0.4, min_results=21))
    first, *promoted = search_trainings(plan)
    # 21 of 81 have no limit. Of 0.4 of the 60 others three quarters are saved at most.
    assert first.total_epochs == pytest.approx((21 + 60 * 0.7, 81))
    assert search_trainings(plan, 0.9)[0].total_epochs == pytest.approx((21 + 60 * 0.9,) * 2)
    assert all(one.share_done == (1.0, 1.0) for one in promoted)
    # A search that ends before limits are known stops nothing.
    short = replace(plan, num_trials=5, promotion=Promotion())
    assert search_trainings(short)[0].share_done == search_trainings(short, 0.5)[0].share_done == (1.0, 1.0)


@pytest.mark.parametrize("num_trials", [1, 2, 5, 13, 40, 61])
def test_the_rungs_have_as_many_trials_as_a_search_gives_them(tmp_path: Path, num_trials: int) -> None:
    with Journal(tmp_path, {}) as journal:
        run_all(make_search(journal, num_trials, promotion=RUNGS, stopping=Stopping()))
    done = Counter(trial.rung for trial in read_record(tmp_path).trials.values())
    expected = [one.number for one in search_trainings(replace(PLAN, num_trials=num_trials))]
    # A last trial that is no multiple may leave a promotion for later.
    assert sum(abs(done[rung] - number) for rung, number in enumerate(expected)) <= 1


def test_what_is_on_record_says_what_a_trial_costs_and_what_stopping_leaves(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        assert measured_cost(journal.record) is None
        run_all(make_search(journal, 40, promotion=Promotion(num_rungs=2)))
    trials = [trial for trial in read_record(tmp_path).trials.values() if trial.rung == 0]
    found = measured_cost(read_record(tmp_path))
    assert found is not None
    # Each takes 20 s, and those that are stopped their share of it.
    assert (found.num_trials, found.seconds) == (sum(trial.status == "completed" for trial in trials), 20.0)
    limited = trials[STOPPING.min_results :]
    assert found.share_done == pytest.approx(sum(trial.share_done for trial in limited) / len(limited))
    assert found.share_done is not None
    assert 0.3 < found.share_done < 0.9
