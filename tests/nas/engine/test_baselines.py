"""Baselines beside a search: trained first and once, with the failure handling of trials, unknown to the search."""

import math
from pathlib import Path

import pytest

from controllers.random_search import RandomSearch
from foundation import InputError
from nas.engine.baselines import BaselinesFirst, open_baselines
from nas.engine.failures import FailurePolicy
from nas.engine.job import BaselineJob, Job, Outcome
from nas.engine.loop import Search
from nas.engine.plan import Plan
from nas.engine.reward import MetricReward
from nas.executors.base import run_job
from nas.record.baselines import FOLDER, Baseline, read_baselines
from nas.record.journal import Journal
from nas.record.trial import Failure, FailureKind
from proxy_tasks import Evaluation, Fidelity
from proxy_tasks.landscape import Landscape
from search_space import ScalePermutedSpace, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))
NAMES = ("first", "second")
PLAN = Plan(num_trials=2, seed=7, fidelity=Fidelity(3), failures=FailurePolicy(timeout="stop"))


def search_in(journal: Journal) -> Search:
    reward = MetricReward("ap")
    return Search(space=SPACE, controller=RandomSearch(SPACE), reward=reward, journal=journal, plan=PLAN)


def source_in(journal: Journal, seen: list[tuple[str, str, bool]] | None = None) -> BaselinesFirst:
    def note(baseline: Baseline, has_started: bool) -> None:
        if seen is not None:
            seen.append((baseline.name, baseline.status, has_started))

    return BaselinesFirst(search_in(journal), NAMES, journal.folder, MetricReward("ap"), PLAN, note)


def scored(job: object, ap: float = 0.5) -> Outcome:
    assert isinstance(job, BaselineJob)
    return Outcome(job.trial, Evaluation({"ap": ap, "macs": 3e6}, {"train": 2.0}))


def failed(job: object, kind: FailureKind) -> Outcome:
    assert isinstance(job, BaselineJob)
    return Outcome(job.trial, Failure(kind, "it is so"))


def test_baselines_are_given_out_before_trials_with_their_fidelity_and_seed(tmp_path: Path) -> None:
    seen: list[tuple[str, str, bool]] = []
    with Journal(tmp_path, {}) as journal:
        source = source_in(journal, seen)
        jobs = [source.start_trial() for _ in range(5)]
        baselines = [job for job in jobs if isinstance(job, BaselineJob)]
        assert [(job.name, job.fidelity, job.seed) for job in baselines] == [(name, PLAN.fidelity, 7) for name in NAMES]
        assert [job.trial for job in jobs if isinstance(job, Job)] == [0, 1]
        assert jobs[4] is None

        # In any order, as from several workers; the journal holds nothing of them.
        for job, ap in ((jobs[1], 0.25), (jobs[0], 0.5)):
            source.finish_trial(scored(job, ap))
        assert [(one.name, one.reward, one.metrics["macs"]) for one in read_baselines(tmp_path)] == [
            ("first", 0.5, 3e6),
            ("second", 0.25, 3e6),
        ]
        assert journal.record.told == []
    assert seen == [
        ("first", "running", True),
        ("second", "running", True),
        ("second", "completed", False),
        ("first", "completed", False),
    ]


def test_a_resumed_run_trains_the_missing_baseline_alone(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        source = source_in(journal)
        first, second = source.start_trial(), source.start_trial()
        source.finish_trial(scored(second))
    with Journal(tmp_path, {}) as journal:
        assert [baseline.name for baseline in open_baselines(tmp_path, NAMES)] == ["first"]
        source = source_in(journal)
        again = source.start_trial()
        assert isinstance(again, BaselineJob)
        assert isinstance(first, BaselineJob)
        assert again.name == first.name
        assert isinstance(source.start_trial(), Job)


def test_a_lost_baseline_is_run_again_and_a_failed_one_once_a_start_until_it_succeeds(tmp_path: Path) -> None:
    # As a trial: two retries for each kind, then it has failed.
    for _ in range(2):
        with Journal(tmp_path, {}) as journal:
            source = source_in(journal)
            source.finish_trial(failed(source.start_trial(), "worker_lost"))
            again = source.start_trial()
            assert isinstance(again, BaselineJob)
            assert again.name == "first"
    with Journal(tmp_path, {}) as journal:
        source = source_in(journal)
        source.finish_trial(failed(source.start_trial(), "worker_lost"))
        following = source.start_trial()
        assert isinstance(following, BaselineJob)
        assert following.name == "second"
        source.finish_trial(scored(following, math.nan))
    ended = {baseline.name: baseline for baseline in read_baselines(tmp_path)}
    assert [failure.kind for failure in ended["first"].attempts] == ["worker_lost"] * 2
    assert {name: (one.status, one.failure and one.failure.kind) for name, one in ended.items()} == {
        "first": ("failed", "worker_lost"),
        "second": ("failed", "nan"),
    }

    # Each later start tries what failed once more, and its retries count over all starts.
    with Journal(tmp_path, {}) as journal:
        source = source_in(journal)
        first, second = source.start_trial(), source.start_trial()
        source.finish_trial(failed(first, "worker_lost"))
        source.finish_trial(scored(second))
        assert isinstance(source.start_trial(), Job)
    ended = {baseline.name: baseline for baseline in read_baselines(tmp_path)}
    assert (ended["first"].status, len(ended["first"].attempts)) == ("failed", 3)
    assert (ended["second"].status, ended["second"].failure) == ("completed", None)
    assert [failure.kind for failure in ended["second"].attempts] == ["nan"]
    assert [baseline.name for baseline in open_baselines(tmp_path, NAMES)] == ["first"]


def test_a_failure_that_stops_a_search_stops_it_at_a_baseline_too_and_leaves_that_open(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = search_in(journal)
        source = BaselinesFirst(search, NAMES, tmp_path, MetricReward("ap"), PLAN)
        source.finish_trial(failed(source.start_trial(), "timeout"))
        assert search.why_stopped == "baseline first failed (timeout): it is so"
        # Neither the other baseline nor a trial.
        assert source.start_trial() is None
    assert [baseline.name for baseline in open_baselines(tmp_path, NAMES)] == ["first", "second"]


def test_a_worker_evaluates_a_baseline_by_its_name() -> None:
    task = Landscape(noise=0.1)
    outcome = run_job(task, BaselineJob(-1, "spinenet-49", Fidelity(1), seed=0))
    assert outcome.trial == -1
    assert outcome.result == task.evaluate_baseline("spinenet-49", fidelity=Fidelity(1), seed=0)
    unknown = run_job(task, BaselineJob(-1, "r50-fpn", Fidelity(1), seed=0)).result
    assert isinstance(unknown, Failure)


@pytest.mark.parametrize("content", ["{", '{"name": "../first"}', '{"name": "first", "reward": 1e999}'])
def test_a_damaged_record_of_a_baseline_is_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "first.json").write_text(content)
    with pytest.raises(InputError, match=r"baselines/first\.json: .*; without this file the next start"):
        read_baselines(tmp_path)
