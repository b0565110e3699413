"""Trials that are stopped within a search: what is on record, who hears of them, and that a resume changes nothing."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.learning import Learning
from controllers.base import Controller
from controllers.random_search import RandomSearch
from nas.engine.job import Job, Outcome
from nas.engine.known import KnownArchitectures
from nas.engine.loop import Search
from nas.engine.plan import Plan
from nas.engine.reward import MetricReward
from nas.executors.base import run_job
from nas.record.journal import FILE_NAME, Journal, read_record
from nas.record.promotion import Promotion
from nas.record.stopping import LossHistory, Stopping
from nas.record.trial import Failure
from nas.record.waiting_list import add_to_waiting_list
from proxy_tasks import Evaluation, Fidelity, LossLimit
from proxy_tasks.landscape import Landscape
from search_space import Candidate, SearchSpace
from tests.controllers.test_controller_contract import CONTROLLERS
from tests.nas.engine.test_loop import SMALL_SPACE, SPACE

TASK = Learning()
STOPPING = Stopping((0.25, 0.5), worst=0.5, min_results=4)
REWARD = MetricReward("ap", ("macs",))


def make_search(
    journal: Journal,
    num_trials: int = 30,
    *,
    controller: Controller | None = None,
    space: SearchSpace = SPACE,
    stopping: Stopping = STOPPING,
    promotion: Promotion = Promotion(),  # noqa: B008  # frozen
    seed: int = 0,
) -> Search:
    plan = Plan(num_trials, seed, Fidelity(1), promotion=promotion, stopping=stopping)
    return Search(space=space, controller=controller or RandomSearch(space), reward=REWARD, journal=journal, plan=plan)


def run_all(search: Search, task: Learning = TASK) -> None:
    while (job := search.start_trial()) is not None:
        search.finish_trial(run_job(task, job))


def lines(folder: Path) -> list[dict[str, object]]:
    """Return the events of a journal without their times."""
    events = [json.loads(line) for line in (folder / FILE_NAME).read_text().splitlines()]
    return [{name: value for name, value in event.items() if name != "time"} for event in events]


def test_limits_are_on_record_with_the_proposal_before_its_job_has_them(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        run_all(make_search(journal, 5))
        job = make_search(journal, 6).start_trial()
        assert job is not None
    trials = read_record(tmp_path).trials
    assert [bool(trial.loss_limits) for trial in trials.values()] == [False] * 4 + [True] * 2
    assert job.loss_limits == trials[5].loss_limits

    # The median of those so far at each share, by the record alone.
    first = [trials[number].loss_curve[4] for number in range(4)]
    assert trials[4].loss_limits[0] == LossLimit(0.25, sorted(first)[1])


def test_a_stopped_trial_has_its_share_and_its_losses_on_record_and_no_reward(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        run_all(make_search(journal))
    trials = read_record(tmp_path).trials
    stopped = [trial for trial in trials.values() if trial.status == "stopped"]
    assert 5 < len(stopped) < 25
    for trial in stopped:
        assert (trial.reward, trial.failure) == (None, None)
        assert trial.stopped_at in (0.25, 0.5)
        assert len(trial.loss_curve) == round(20 * trial.stopped_at)
        assert trial.metrics == TASK.costs(Candidate(trial.spec))
        # Its last loss, and none before, is above the limit there.
        limits = {limit.share: limit.max_loss for limit in trial.loss_limits}
        assert trial.loss_curve[-1] > limits[trial.stopped_at]
    # What is lost are bad ones: the loss tells here.
    best = max(trials.values(), key=lambda trial: TASK.score(trial.spec))
    assert best.status == "completed"


def test_a_search_without_stopping_writes_what_earlier_versions_wrote(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        run_all(make_search(journal, 8, stopping=Stopping()))
    assert not any({"loss_limits", "stopped_at"} & set(event) for event in lines(tmp_path))


@pytest.mark.parametrize("make", CONTROLLERS.values(), ids=CONTROLLERS.keys())
def test_every_controller_resumes_a_search_with_stopped_trials_as_if_it_had_not_been_stopped(
    tmp_path: Path, make: Callable[[SearchSpace], Controller]
) -> None:
    for folder, steps in (("whole", [16]), ("resumed", [5, 11, 16])):
        for num_trials in steps:
            with Journal(tmp_path / folder, {}) as journal:
                run_all(make_search(journal, num_trials, controller=make(SPACE)))
    assert lines(tmp_path / "resumed") == lines(tmp_path / "whole")
    assert any(event.get("status") == "stopped" for event in lines(tmp_path / "whole"))


def test_a_trial_that_is_run_again_has_the_limits_that_it_was_proposed_with(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal)
        for _ in range(6):
            job = search.start_trial()
            assert job is not None
            search.finish_trial(run_job(TASK, job))
        first, second = search.start_trial(), search.start_trial()
        assert first is not None
        assert second is not None

        # Its worker dies, and another result has come meanwhile: the same limits all the same.
        search.finish_trial(run_job(TASK, second))
        search.finish_trial(Outcome(first.trial, Failure("worker_lost", "killed")))
        assert search.start_trial() == first

    # So too after the driver was killed.
    with Journal(tmp_path, {}) as journal:
        assert make_search(journal).start_trial() == first


@pytest.mark.parametrize("kill_after", range(1, 40, 6))
def test_a_search_that_is_killed_after_any_event_ends_with_the_same_trials(tmp_path: Path, kill_after: int) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with Journal(whole, {}) as journal:
        run_all(make_search(journal, 20))

    # The journal as a kill leaves it: some events, and a line that was cut short.
    kept = (whole / FILE_NAME).read_text().splitlines(keepends=True)[: kill_after + 1]
    killed.mkdir()
    (killed / FILE_NAME).write_text("".join(kept) + '{"time":1.0,"event":"tol')
    with Journal(killed, {}) as journal:
        run_all(make_search(journal, 20))
    assert lines(killed) == lines(whole)


def test_an_architecture_that_was_stopped_stays_stopped_where_it_is_proposed_again(tmp_path: Path) -> None:
    jobs: list[Job] = []
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, 30, space=SMALL_SPACE, stopping=replace(STOPPING, min_results=2))
        while (job := search.start_trial()) is not None:
            jobs.append(job)
            search.finish_trial(run_job(TASK, job))
    trials = read_record(tmp_path).trials
    assert len({job.candidate.spec.key for job in jobs}) == len(jobs) == 4
    stopped = {trial.number for trial in trials.values() if trial.status == "stopped"}
    again = [trial for trial in trials.values() if trial.reused_from in stopped]
    assert again
    assert all(trial.status == "reused" and trial.reward is None and not trial.seconds for trial in again)


def test_trials_that_wait_for_one_that_is_stopped_are_not_trained(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, 9, space=SMALL_SPACE, stopping=replace(STOPPING, min_results=1, margin=0))
        known, job = search.start_trial(), None
        assert known is not None
        search.finish_trial(run_job(TASK, known))
        job = search.start_trial()
        assert job is not None
        assert job.loss_limits
        # All further ones are proposed meanwhile; those of its architecture wait.
        others = list(iter(search.start_trial, None))
        curve = (1.0,) * 5
        search.finish_trial(Outcome(job.trial, Evaluation({}, loss_curve=curve, stopped_at=0.25)))
        for other in others:
            search.finish_trial(run_job(TASK, other))
        run_all(search)
    trials = read_record(tmp_path).trials
    waited = [trial for trial in trials.values() if trial.key == job.candidate.spec.key and trial.number != job.trial]
    assert waited
    assert {(trial.status, trial.reused_from) for trial in waited} == {("reused", job.trial)}


def test_what_people_put_in_is_trained_to_its_end_as_none_before_it_was(tmp_path: Path) -> None:
    with Journal(tmp_path / "run", {}) as journal:
        run_all(make_search(journal))
        stopped = next(trial for trial in journal.record.trials.values() if trial.status == "stopped")
    # What was stopped has no reward: a person who puts it in wants one.
    add_to_waiting_list(tmp_path / "run", stopped.key, stopped.proposal.decisions)
    with Journal(tmp_path / "run", {}) as journal:
        assert make_search(journal, 31).start_trial() is not None
    with Journal(tmp_path / "run", {}) as journal:
        run_all(make_search(journal, 31))
    given = read_record(tmp_path / "run").trials[30]
    assert (given.key, given.status, given.loss_limits) == (stopped.key, "completed", ())
    assert given.reward is not None

    # So too what a search begins with, though limits are known before the last of it.
    bad = [trial.proposal.decisions for trial in journal.record.trials.values() if trial.status == "stopped"][:6]
    with Journal(tmp_path / "begun", {}, bad) as journal:
        run_all(make_search(journal, 10, stopping=replace(STOPPING, min_results=1)))
    statuses = [(trial.status, bool(trial.loss_limits)) for trial in read_record(tmp_path / "begun").trials.values()]
    assert statuses[:6] == [("completed", False)] * 6
    assert all(has_limits for _, has_limits in statuses[6:])


def test_one_that_people_put_in_while_it_trains_is_trained_once_that_is_stopped(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, 8)
        for _ in range(4):
            first = search.start_trial()
            assert first is not None
            search.finish_trial(run_job(TASK, first))
        job = search.start_trial()
        assert job is not None
        trial = journal.record.trials[job.trial]
        add_to_waiting_list(tmp_path, trial.key, trial.proposal.decisions)
        other = search.start_trial()
        assert other is not None
        assert other.trial == job.trial + 2

        search.finish_trial(Outcome(job.trial, Evaluation({}, loss_curve=(9.0,) * 5, stopped_at=0.25)))
        again = search.start_trial()
        assert again is not None
        assert (again.trial, again.candidate.key, again.loss_limits) == (job.trial + 1, trial.key, ())
        search.finish_trial(run_job(TASK, again))
        search.finish_trial(run_job(TASK, other))
    # What the controller proposes again from now on has its reward.
    known = KnownArchitectures()
    for number in journal.record.told:
        known.end(journal.record.trials[number])
    assert known.trained_by(trial) == again.trial


def test_a_stopped_trial_is_never_promoted_and_what_is_promoted_is_never_stopped(tmp_path: Path) -> None:
    promotion = Promotion(num_rungs=2, reduction=2)
    with Journal(tmp_path, {}) as journal:
        run_all(make_search(journal, 40, promotion=promotion))
    trials = read_record(tmp_path).trials.values()
    promoted = [trial for trial in trials if trial.rung]
    stopped = {trial.key for trial in trials if trial.status == "stopped"}
    assert promoted
    assert stopped
    assert not stopped & {trial.key for trial in promoted}
    assert all(trial.status == "completed" and not trial.loss_limits for trial in promoted)


def test_many_stopped_trials_are_no_failures(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, 60, stopping=Stopping((0.25,), worst=0.95, min_results=1))
        run_all(search)
        assert search.why_stopped is None
        assert sum(trial.status == "stopped" for trial in journal.record.trials.values()) > 30


def test_a_task_that_cannot_end_early_never_trains_in_silence_what_was_to_be_stopped() -> None:
    job = Job(0, SPACE.decode(SPACE.sample(np.random.default_rng(0))), Fidelity(1), 0)
    assert isinstance(run_job(Landscape(), job).result, Evaluation)
    found = run_job(Landscape(), replace(job, loss_limits=(LossLimit(0.25, 1.0),))).result
    assert isinstance(found, Failure)
    assert "Landscape cannot end a training early" in found.message


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"status": "stopped"}, "trial 0 is stopped and was stopped at None"),
        ({"status": "stopped", "stopped_at": 0.25, "reward": 0.5}, "trial 0 is stopped with reward 0.5"),
        ({"status": "completed", "stopped_at": 0.25, "reward": 0.5}, "trial 0 is completed and was stopped at 0.25"),
        ({"status": "reused", "reused_from": 0}, "trial 0 is reused with reward None"),
        ({"status": "stopped", "stopped_at": 0.0}, "told.stopped_at: .*above 0 and below 1, got 0.0"),
        ({"status": "stopped", "stopped_at": 1e-320}, "told.stopped_at: .*above 0 and below 1"),
        ({"status": "stopped", "stopped_at": 1.0}, "told.stopped_at: .*above 0 and below 1, got 1.0"),
    ],
)
def test_a_stop_that_does_not_fit_is_refused_by_its_line(tmp_path: Path, told: dict[str, object], message: str) -> None:
    with Journal(tmp_path, {}) as journal:
        assert make_search(journal).start_trial() is not None
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write(json.dumps({"time": 1.0, "event": "told", "trial": 0, **told}) + "\n")
    with pytest.raises(Exception, match=f"line 3: {message}"):
        read_record(tmp_path)


def test_limits_are_those_that_the_record_alone_gives(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        run_all(make_search(journal, 30))
    record = read_record(tmp_path)
    history = LossHistory(STOPPING)
    limits = [history.limits()]
    for number in record.told:
        history.note(record.trials[number])
        limits.append(history.limits())
    assert all(limits[record.asked_after[trial.number]] == trial.loss_limits for trial in record.trials.values())
    assert all(math.isfinite(limit.max_loss) for trial in record.trials.values() for limit in trial.loss_limits)
