from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from controllers.base import Proposal
from controllers.random_search import RandomSearch
from nas.engine.failures import FailurePolicy
from nas.engine.job import Outcome
from nas.engine.loop import Search
from nas.record.failures import failure_lines
from nas.record.journal import FILE_NAME, Journal, read_record
from nas.record.trial import Failure
from tests.nas.engine.test_loop import SPACE, evaluate, make_search, run_all

LOST = Failure("worker_lost", "the worker's process died on node7")
NO_DATA = Failure("bad_data", "on node7: the image cache /data/cache is missing")
ERROR = Failure("error", "OSError: no such path")


class Watching(RandomSearch):
    """Notes the rewards that it is told."""

    def __init__(self) -> None:
        super().__init__(SPACE)
        self.told: list[float | None] = []

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        self.told.append(reward)


def fail_next(search: Search, failure: Failure) -> int:
    job = search.start_trial()
    assert job is not None
    search.finish_trial(Outcome(job.trial, failure))
    return job.trial


def test_a_lost_trial_is_run_again_before_new_ones_and_told_once(tmp_path: Path) -> None:
    controller = Watching()
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=3, controller=controller)
        assert fail_next(search, LOST) == 0
        assert controller.told == []
        job = search.start_trial()
        assert job is not None
        assert job.trial == 0
        search.finish_trial(evaluate(job))
        run_all(search)
    record = read_record(tmp_path)
    assert record.told == [0, 1, 2]
    assert [trial.status for trial in record.trials.values()] == ["completed"] * 3
    assert record.trials[0].attempts == (LOST,)
    assert len(controller.told) == 3


def test_retries_have_a_limit_for_each_kind_that_a_resume_does_not_forget(tmp_path: Path) -> None:
    policy = FailurePolicy(max_retries=2)
    starved = Failure("out_of_memory", "torch.OutOfMemoryError: CUDA out of memory")
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=1, failures=policy)
        for failure in (LOST, starved, LOST):
            assert fail_next(search, failure) == 0
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=1, failures=policy)
        assert fail_next(search, starved) == 0
        assert journal.record.trials[0].status == "running"
        assert fail_next(search, LOST) == 0
        assert search.start_trial() is None
    trial = read_record(tmp_path).trials[0]
    assert trial.status == "failed"
    assert trial.failure == LOST
    assert [failure.kind for failure in trial.attempts] == [
        "worker_lost", "out_of_memory", "worker_lost", "out_of_memory",
    ]  # fmt: skip


def test_a_kind_that_stops_leaves_the_trial_to_the_next_start_and_awaits_running_ones(tmp_path: Path) -> None:
    reasons: list[str] = []
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=5, on_stop=reasons.append)
        running = search.start_trial()
        assert running is not None
        assert fail_next(search, NO_DATA) == 1
        assert search.start_trial() is None
        search.finish_trial(evaluate(running))
        assert reasons == [search.why_stopped] == [f"trial 1 failed (bad_data): {NO_DATA.message}"]
    assert [trial.status for trial in read_record(tmp_path).trials.values()] == ["completed", "running"]
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=5)
        again = search.start_trial()
        assert again is not None
        assert again.trial == 1
        search.finish_trial(evaluate(again))
        run_all(search)
        assert search.why_stopped is None
    assert sorted(read_record(tmp_path).told) == [0, 1, 2, 3, 4]


def test_a_wrong_path_does_not_burn_a_night(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=1000, failures=FailurePolicy(window=20, max_failed_share=0.5))
        for _ in range(9):
            fail_next(search, ERROR)
        fail_next(search, Failure("nan", "the loss was not finite"))
        assert search.why_stopped is None
        fail_next(search, ERROR)
        assert search.start_trial() is None
        assert search.why_stopped == (
            "11 of the last 11 trials failed: 10 error, first in trial 0: OSError: no such path; "
            "1 nan, first in trial 9: the loss was not finite"
        )
    with Journal(tmp_path, {}) as journal:
        # The cause is repaired: what failed before does not count.
        search = make_search(journal, num_trials=30)
        run_all(search)
        assert search.why_stopped is None


def test_failures_among_many_good_trials_do_not_stop_a_search(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=60, controller=Watching(), failures=FailurePolicy(window=10))
        while (job := search.start_trial()) is not None:
            search.finish_trial(Outcome(job.trial, ERROR) if job.trial % 2 else evaluate(job))
        assert search.why_stopped is None
    assert sum(trial.status == "failed" for trial in read_record(tmp_path).trials.values()) == 30


def test_trials_that_reuse_a_result_push_no_failure_out_of_sight(tmp_path: Path) -> None:
    good, *bad = (SPACE.sample(np.random.default_rng(seed)) for seed in range(4))
    begin_with = [good, bad[0], good, good, bad[1], good, good, bad[2]]
    with Journal(tmp_path, {}, begin_with) as journal:
        search = make_search(journal, num_trials=20, failures=FailurePolicy(window=4, max_failed_share=0.5))
        while (job := search.start_trial()) is not None:
            search.finish_trial(Outcome(job.trial, ERROR) if begin_with[job.trial] in bad else evaluate(job))
        assert search.why_stopped is not None
        assert search.why_stopped.startswith("3 of the last 4 trials failed")
    statuses = [trial.status for trial in read_record(tmp_path).trials.values()]
    assert statuses == ["completed", "failed", "reused", "reused", "failed", "reused", "reused", "failed"]


def test_lost_nodes_that_are_retried_do_not_stop_a_search(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=40, controller=Watching())
        jobs = [search.start_trial() for _ in range(30)]
        for job in jobs:
            assert job is not None
            search.finish_trial(Outcome(job.trial, Failure("node_lost", "the node died on node7")))
        run_all(search)
        assert search.why_stopped is None
    assert sorted(read_record(tmp_path).told) == list(range(40))


def test_a_share_of_one_never_stops(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=50, failures=FailurePolicy(max_failed_share=1))
        for _ in range(50):
            fail_next(search, ERROR)
        assert search.why_stopped is None


def test_the_summary_has_each_kind_with_its_first_message(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=4)
        fail_next(search, Failure("nan", "first"))
        for message in ("second", "third"):
            fail_next(search, Failure("error", message))
        run_all(search)
    trials = read_record(tmp_path).trials.values()
    assert failure_lines(trials) == ["2 error, first in trial 1: second", "1 nan, first in trial 0: first"]


def test_a_journal_from_before_retries_reads_as_before(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        run_all(make_search(journal, num_trials=3))
    path = tmp_path / FILE_NAME
    path.write_text(path.read_text().replace('"rung":0,', ""))
    assert all(trial.rung == 0 and trial.attempts == () for trial in read_record(tmp_path).trials.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_retries": -1}, "max_retries must be from 0 to .*, got -1"),
        ({"max_failed_share": 1.5}, r"max_failed_share must be 0 to 1, got 1\.5"),
        ({"window": 0}, "window must be from 1 to .*, got 0"),
    ],
)
def test_impossible_numbers_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FailurePolicy(**options)  # type: ignore[arg-type]  # wrong on purpose
