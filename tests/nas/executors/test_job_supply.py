"""What a pool of workers is given by its source, and what it can expect of it: without a pool and without Ray."""

from collections import deque

import numpy as np
import pytest

from nas.engine.job import AnyJob, Job, Outcome
from nas.executors.job_supply import JobSupply, Supply
from nas.record.trial import Failure
from proxy_tasks import Evaluation, Fidelity, Numerics
from search_space import ScalePermutedSpace, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))
LOST = Failure("worker_lost", "the worker's process died")
DONE = Evaluation({"ap": 0.5})


class Retrying:
    """Has a number of trials, and runs again what was lost."""

    def __init__(self, num_trials: int) -> None:
        self.waiting = deque(range(num_trials))
        self.num_asked = 0
        self.finished: list[Outcome] = []

    def start_trial(self, numerics: Numerics | None = None) -> Job | None:
        self.num_asked += 1
        if not self.waiting:
            return None
        return Job(self.waiting.popleft(), SPACE.decode(SPACE.sample(np.random.default_rng(0))), Fidelity(1), seed=0)

    def finish_trial(self, outcome: Outcome) -> None:
        self.finished.append(outcome)
        if isinstance(outcome.result, Failure):
            self.waiting.append(outcome.trial)


def trial_of(job: AnyJob | None) -> int | None:
    return None if job is None else job.trial


def test_jobs_come_in_the_order_of_the_source_and_outcomes_go_back_to_it() -> None:
    source = Retrying(2)
    supply = JobSupply(source)
    assert [trial_of(supply.next_job()) for _ in range(3)] == [0, 1, None]
    outcome = Outcome(1, DONE)
    supply.finish(outcome)
    assert source.finished == [outcome]


def test_a_source_that_nobody_has_asked_may_have_more_and_is_not_asked() -> None:
    source = Retrying(0)
    supply = JobSupply(source)
    assert supply.state is Supply.UNASKED
    assert supply.has_more()
    assert source.num_asked == 0


def test_there_is_plenty_until_the_source_has_no_job() -> None:
    supply = JobSupply(Retrying(2))
    states = []
    for _ in range(3):
        supply.next_job()
        states.append(supply.state)
    assert states == [Supply.PLENTY, Supply.PLENTY, Supply.DRY]


@pytest.mark.parametrize(("result", "next_state"), [(LOST, Supply.PLENTY), (DONE, Supply.DRY)], ids=["lost", "done"])
def test_an_outcome_after_the_source_was_dry_is_worth_one_more_question(
    result: Failure | Evaluation, next_state: Supply
) -> None:
    supply = JobSupply(Retrying(2))
    while supply.next_job() is not None:
        pass
    supply.finish(Outcome(0, result))
    assert supply.state is Supply.NEAR_END
    supply.next_job()
    assert supply.state is next_state


def test_an_outcome_before_the_source_is_dry_changes_nothing() -> None:
    supply = JobSupply(Retrying(2))
    supply.next_job()
    supply.finish(Outcome(0, DONE))
    assert supply.state is Supply.PLENTY


def test_a_job_that_the_pool_asked_for_is_held_for_the_next_worker() -> None:
    source = Retrying(2)
    supply = JobSupply(source)
    supply.next_job()
    supply.finish(Outcome(0, LOST))
    assert supply.has_more()
    assert supply.has_more()
    assert source.num_asked == 2
    assert [trial_of(supply.next_job()) for _ in range(3)] == [1, 0, None]


def test_a_job_held_near_the_end_promises_no_other() -> None:
    supply = JobSupply(Retrying(1))
    while supply.next_job() is not None:
        pass
    supply.finish(Outcome(0, LOST))
    assert supply.has_more()
    states = [supply.state]
    assert trial_of(supply.next_job()) == 0
    states.append(supply.state)
    assert states == [Supply.NEAR_END, Supply.PLENTY]


def test_without_a_running_job_none_is_final() -> None:
    supply = JobSupply(Retrying(1))
    supply.next_job()
    supply.finish(Outcome(0, DONE))
    assert not supply.has_more()


def test_a_source_that_wakes_up_by_itself_does_not_leave_its_job_without_a_worker() -> None:
    source = Retrying(1)
    supply = JobSupply(source)
    supply.next_job()
    supply.finish(Outcome(0, DONE))
    supply.next_job()
    states = [supply.state]
    source.waiting.append(1)
    assert supply.has_more()
    states.append(supply.state)
    assert states == [Supply.DRY, Supply.NEAR_END]
