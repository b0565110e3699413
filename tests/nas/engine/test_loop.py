import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from controllers.base import Controller, Proposal
from controllers.evolution import RegularizedEvolution
from controllers.random_search import RandomSearch
from foundation import InputError
from nas.engine.failures import FailurePolicy
from nas.engine.job import Job, Outcome
from nas.engine.known import MAX_WAITING
from nas.engine.limits import Limits
from nas.engine.loop import MAX_FIRST_REJECTED, Search
from nas.engine.plan import Plan
from nas.engine.reward import MetricReward, Reward
from nas.record.journal import Journal, read_record
from nas.record.promotion import Promotion
from nas.record.record import Record
from nas.record.trial import Failure, FailureKind, Trial, best_trials
from proxy_tasks import Evaluation, Fidelity, Numerics
from proxy_tasks.landscape import Landscape
from search_space import (
    ArchSpec,
    BlockSpec,
    Candidate,
    Decisions,
    ScalePermutedSpace,
    SearchSpace,
    StemBlock,
    published_spec,
    resnet_seed,
)
from tests.controllers.test_controller_contract import CONTROLLERS

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))
# Kinds of two blocks and nothing else, four architectures: proposals repeat soon.
SMALL_SPACE = ScalePermutedSpace(
    ArchSpec(
        (StemBlock(2), StemBlock(2)),
        (BlockSpec(3, "bottleneck", (0, 1)), BlockSpec(4, "bottleneck", (1, 2), True)),
    ),
    permutation=False,
    connections=False,
    level_offsets=(),
)
TASK = Landscape()


def evolution(space: ScalePermutedSpace = SPACE) -> Controller:
    return RegularizedEvolution(space, population_size=5, tournament_size=2)


def make_search(
    journal: Journal,
    num_trials: int = 20,
    controller: Controller | None = None,
    space: ScalePermutedSpace = SPACE,
    on_change: Callable[[Trial], None] = lambda trial: None,
    reward: Reward = MetricReward("ap"),  # noqa: B008  # frozen
    limits: Limits = Limits(),  # noqa: B008  # frozen
    failures: FailurePolicy = FailurePolicy(),  # noqa: B008  # frozen
    promotion: Promotion = Promotion(),  # noqa: B008  # frozen
    on_stop: Callable[[str], None] = lambda why: None,
    on_numerics: Callable[[Numerics], None] = lambda numerics: None,
) -> Search:
    return Search(
        space=space,
        controller=controller or evolution(space),
        reward=reward,
        journal=journal,
        plan=Plan(num_trials, 0, Fidelity(1), limits, promotion, failures),
        costs=TASK.costs,
        on_change=on_change,
        on_stop=on_stop,
        on_numerics=on_numerics,
    )


def evaluate(job: Job) -> Outcome:
    return Outcome(job.trial, TASK.evaluate(Candidate(job.candidate.spec), fidelity=job.fidelity, seed=job.seed))


def run_all(search: Search) -> None:
    while (job := search.start_trial()) is not None:
        search.finish_trial(evaluate(job))


def rewards(record: Record) -> list[float | None]:
    return [record.trials[number].reward for number in sorted(record.trials)]


def test_every_trial_is_asked_evaluated_and_told(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        run_all(make_search(journal))
    record = read_record(tmp_path)
    assert record.told == list(range(20))
    assert all(trial.key == trial.spec.key for trial in record.trials.values())
    assert all(SPACE.decode(trial.proposal.decisions).spec == trial.spec for trial in record.trials.values())
    assert all(trial.reward == trial.metrics["ap"] for trial in record.trials.values())


def test_a_proposal_is_on_disk_before_its_job_is_given_out(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        job = make_search(journal).start_trial()
        assert job is not None
        assert read_record(tmp_path).trials[job.trial].spec == job.candidate.spec


def test_a_result_is_on_disk_before_the_controller_learns_it(tmp_path: Path) -> None:
    seen: list[str] = []

    class Watching(RandomSearch):
        def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
            seen.append(read_record(tmp_path).trials[0].status)

    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, controller=Watching(SPACE))
        job = search.start_trial()
        assert job is not None
        search.finish_trial(evaluate(job))
    assert seen == ["completed"]


@pytest.mark.parametrize("make", CONTROLLERS.values(), ids=CONTROLLERS.keys())
def test_every_controller_resumes_as_if_it_had_not_been_stopped(
    tmp_path: Path, make: Callable[[SearchSpace], Controller]
) -> None:
    begin_with = [SPACE.encode(Candidate(published_spec("spinenet-49")))]
    reward = MetricReward("ap", ("macs",))
    for folder, steps in (("whole", [18]), ("stopped", [5, 13, 18])):
        for num_trials in steps:
            with Journal(tmp_path / folder, {}, begin_with) as journal:
                run_all(make_search(journal, num_trials, make(SPACE), reward=reward, limits=Limits({"macs": 25e9})))
    whole, stopped = (read_record(tmp_path / folder).trials for folder in ("whole", "stopped"))
    assert [trial.proposal for trial in stopped.values()] == [trial.proposal for trial in whole.values()]


@pytest.mark.parametrize("stop_after", [0, 1, 7, 19])
def test_resumed_run_equals_uninterrupted_run(tmp_path: Path, stop_after: int) -> None:
    with Journal(tmp_path / "whole", {}) as journal:
        run_all(make_search(journal))
    with Journal(tmp_path / "cut", {}) as journal:
        search = make_search(journal)
        for _ in range(stop_after):
            job = search.start_trial()
            assert job is not None
            search.finish_trial(evaluate(job))
        search.start_trial()  # under way when the process ends
    with Journal(tmp_path / "cut", {}) as journal:
        run_all(make_search(journal))
    whole, cut = read_record(tmp_path / "whole"), read_record(tmp_path / "cut")
    assert whole.told == cut.told
    for number in whole.trials:
        assert whole.trials[number] == cut.trials[number]


def test_trials_under_way_at_a_kill_come_first_and_finished_ones_never_again(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal)
        jobs = [search.start_trial() for _ in range(4)]
        assert jobs[2] is not None
        search.finish_trial(evaluate(jobs[2]))
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal)
        again = [search.start_trial() for _ in range(3)]
        assert again == [jobs[0], jobs[1], jobs[3]]
        following = search.start_trial()
        assert following is not None
        assert following.trial == 4


def test_a_fresh_controller_fed_the_journal_proposes_what_the_search_proposes(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        run_all(make_search(journal, num_trials=12))
    record = read_record(tmp_path)
    controller = evolution()
    for number in record.told:
        controller.tell(record.trials[number].proposal, record.trials[number].reward)
    with Journal(tmp_path, {}) as journal:
        job = make_search(journal, num_trials=13).start_trial()
    assert job is not None
    assert SPACE.decode(controller.ask(np.random.default_rng([0, 12])).decisions).spec == job.candidate.spec


def test_a_known_architecture_is_not_evaluated_again(tmp_path: Path) -> None:
    evaluated: list[str] = []
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=60, controller=evolution(SMALL_SPACE), space=SMALL_SPACE)
        while (job := search.start_trial()) is not None:
            evaluated.append(job.candidate.spec.key)
            search.finish_trial(evaluate(job))
    record = read_record(tmp_path)
    reused = [trial for trial in record.trials.values() if trial.status == "reused"]
    assert len(evaluated) == len(set(evaluated))
    assert len(reused) == 60 - len(evaluated) > 0
    for trial in reused:
        assert trial.reused_from is not None
        earlier = record.trials[trial.reused_from]
        assert (trial.key, trial.reward, trial.metrics) == (earlier.key, earlier.reward, earlier.metrics)


@pytest.mark.parametrize("is_resumed", [False, True])
def test_an_architecture_that_is_being_trained_is_waited_for(tmp_path: Path, is_resumed: bool) -> None:
    def search_on(journal: Journal) -> Search:
        return make_search(journal, num_trials=40, controller=RandomSearch(SMALL_SPACE), space=SMALL_SPACE)

    with Journal(tmp_path, {}) as journal:
        search = search_on(journal)
        # Four architectures: then there is nothing to start but what is under way already.
        jobs = [job for _ in range(4) if (job := search.start_trial()) is not None]
        assert search.start_trial() is None
        assert len({job.candidate.spec.key for job in jobs}) == 4
        if not is_resumed:
            for job in reversed(jobs):
                search.finish_trial(evaluate(job))
            run_all(search)
    if is_resumed:
        with Journal(tmp_path, {}) as journal:
            run_all(search_on(journal))
    record = read_record(tmp_path)
    assert sorted(record.told) == list(range(40))
    assert [number for number, trial in record.trials.items() if trial.status == "completed"] == [
        job.trial for job in jobs
    ]


def test_when_the_one_that_is_waited_for_fails_the_next_is_trained(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=40, controller=RandomSearch(SMALL_SPACE), space=SMALL_SPACE)
        jobs = [job for _ in range(4) if (job := search.start_trial()) is not None]
        assert search.start_trial() is None
        search.finish_trial(Outcome(jobs[0].trial, Failure("nan", "diverged")))
        again = search.start_trial()
        assert again is not None
        assert again.candidate == jobs[0].candidate
        assert again.trial > jobs[0].trial
        for job in (again, *jobs[1:]):
            search.finish_trial(evaluate(job))
        run_all(search)
    assert sorted(read_record(tmp_path).told) == list(range(40))


def test_a_controller_that_repeats_itself_does_not_use_up_all_trials_at_once(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=1000, controller=RandomSearch(SMALL_SPACE), space=SMALL_SPACE)
        jobs = [search.start_trial() for _ in range(5)]
        assert all(job is not None for job in jobs)
        assert len(journal.record.trials) <= 5 + MAX_WAITING


@pytest.mark.parametrize("kind", [kind for kind in get_args(FailureKind) if kind != "over_limit"])
def test_a_failed_trial_is_recorded_with_its_kind_and_the_search_goes_on(tmp_path: Path, kind: FailureKind) -> None:
    told: list[float | None] = []

    class Watching(RandomSearch):
        def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
            told.append(reward)

    with Journal(tmp_path, {}) as journal:
        at_once = FailurePolicy(max_retries=0, bad_data="fail")
        search = make_search(journal, num_trials=3, controller=Watching(SPACE), failures=at_once)
        job = search.start_trial()
        assert job is not None
        search.finish_trial(Outcome(job.trial, Failure(kind, "what happened")))
        run_all(search)
    record = read_record(tmp_path)
    assert record.trials[0].status == "failed"
    assert record.trials[0].failure == Failure(kind, "what happened")
    assert told[0] is None
    assert len(told) == 3


def test_a_reward_that_is_not_finite_fails_the_trial_and_keeps_its_metrics(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=1)
        job = search.start_trial()
        assert job is not None
        found = Evaluation({"ap": float("nan"), "macs": 5.0}, loss_curve=(1.0, float("nan")))
        search.finish_trial(Outcome(job.trial, found))
    trial = read_record(tmp_path).trials[0]
    assert trial.loss_curve == ()
    assert trial.failure == Failure("nan", "the reward is nan")
    assert trial.metrics == {"macs": 5.0}


def test_a_larger_number_extends_a_finished_run(tmp_path: Path) -> None:
    with Journal(tmp_path / "long", {}) as journal:
        run_all(make_search(journal, num_trials=15))
    for num_trials in (6, 15):
        with Journal(tmp_path / "extended", {}) as journal:
            run_all(make_search(journal, num_trials=num_trials))
    assert rewards(read_record(tmp_path / "extended")) == rewards(read_record(tmp_path / "long"))


def test_changes_are_shown_as_they_happen(tmp_path: Path) -> None:
    seen: list[tuple[int, str]] = []
    with Journal(tmp_path, {}) as journal:
        run_all(make_search(journal, num_trials=2, on_change=lambda trial: seen.append((trial.number, trial.status))))
    assert seen == [(0, "running"), (0, "completed"), (1, "running"), (1, "completed")]


def test_ranking_shows_each_architecture_once_and_the_earlier_of_equals(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        run_all(make_search(journal, num_trials=60, controller=evolution(SMALL_SPACE), space=SMALL_SPACE))
        ranked = best_trials(journal.record.trials)
    assert len({trial.key for trial in ranked}) == len(ranked)
    assert all(trial.status == "completed" for trial in ranked)
    assert [(-(t.reward or 0), t.number) for t in ranked] == sorted((-(t.reward or 0), t.number) for t in ranked)


def test_what_is_over_a_limit_is_never_trained_and_the_controller_hears_of_it(tmp_path: Path) -> None:
    limits = Limits({"macs": 18e9})
    told: list[float | None] = []
    started: list[ArchSpec] = []

    class Watching(RandomSearch):
        def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
            told.append(reward)

    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=40, controller=Watching(SPACE), limits=limits)
        while (job := search.start_trial()) is not None:
            started.append(job.candidate.spec)
            search.finish_trial(evaluate(job))
    trials = read_record(tmp_path).trials
    rejected = [trial for trial in trials.values() if trial.status == "rejected"]
    assert 0 < len(rejected) < 40
    assert [trial.status == "rejected" for trial in trials.values()] == [reward is None for reward in told]
    assert len(started) == 40 - len(rejected)
    assert all(TASK.costs(Candidate(spec))["macs"] <= 18e9 for spec in started)
    for trial in rejected:
        assert trial.failure == Failure("over_limit", f"macs {trial.metrics['macs']:,.0f}, limit 18,000,000,000")
        assert trial.metrics == TASK.costs(Candidate(trial.spec))


def test_a_resumed_run_with_limits_equals_one_that_was_not_stopped(tmp_path: Path) -> None:
    for folder, steps in (("whole", [30]), ("stopped", [4, 11, 30])):
        for num_trials in steps:
            with Journal(tmp_path / folder, {}) as journal:
                run_all(make_search(journal, num_trials=num_trials, limits=Limits({"macs": 18e9})))
    assert rewards(read_record(tmp_path / "stopped")) == rewards(read_record(tmp_path / "whole"))


def test_a_limit_that_nothing_keeps_ends_the_run(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=1000, limits=Limits({"macs": 18e9, "params": 5.0}))
        message = r"all of the first 200 proposals are over a limit; in another run, raise limits\.macs \(lowest "
        assert search.start_trial() is None
        assert re.match(message, search.why_stopped or "")
    assert len(read_record(tmp_path).told) == MAX_FIRST_REJECTED


def test_given_decisions_come_before_the_controllers_own(tmp_path: Path) -> None:
    given = [SPACE.encode(Candidate(published_spec(name))) for name in ("r0-sp53", "spinenet-49")]
    told: list[Decisions] = []

    class Watching(RandomSearch):
        def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
            told.append(proposal.decisions)

    # The second start resumes what is on record, whatever it is given.
    for num_trials, begin_with in ((1, given), (5, given[:1])):
        with Journal(tmp_path, {}, begin_with) as journal:
            run_all(make_search(journal, num_trials, Watching(SPACE)))
    own = [SPACE.sample(np.random.default_rng([0, number])) for number in (2, 3, 4)]
    assert [trial.proposal.decisions for trial in read_record(tmp_path).trials.values()] == [*given, *own]
    # Once by the first start, and again from the journal by the second.
    assert told == [given[0], *given, *own]


def test_controllers_are_told_the_objectives_also_when_resuming_and_reusing(tmp_path: Path) -> None:
    told: list[tuple[float | None, Sequence[float]]] = []

    class Watching(RandomSearch):
        def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
            told.append((reward, objectives))

    for num_trials in (8, 12):
        with Journal(tmp_path, {}) as journal:
            search = make_search(
                journal, num_trials, Watching(SMALL_SPACE), SMALL_SPACE, reward=MetricReward("ap", ("macs",))
            )
            run_all(search)
    record = read_record(tmp_path)
    assert {trial.status for trial in record.trials.values()} == {"completed", "reused"}
    expected = [(t.reward, (t.metrics["ap"], -t.metrics["macs"])) for t in record.trials.values()]
    assert told == [*expected[:8], *expected]


def test_a_cost_that_is_not_finite_fails_the_trial(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=1, reward=MetricReward("ap", ("latency_ms",)))
        job = search.start_trial()
        assert job is not None
        search.finish_trial(Outcome(job.trial, Evaluation({"ap": 0.5, "latency_ms": float("inf")})))
    assert read_record(tmp_path).trials[0].failure == Failure("nan", "a cost is not finite")


def test_promotions_come_before_new_proposals_and_the_controller_hears_of_the_first_rung_alone(tmp_path: Path) -> None:
    told: list[Decisions] = []

    class Watching(RandomSearch):
        def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
            assert proposal.rung == 0
            told.append(proposal.decisions)

    with Journal(tmp_path, {}) as journal:
        promotion = Promotion(num_rungs=2, reduction=2)
        search = make_search(journal, 12, Watching(SPACE), promotion=promotion)
        epochs = []
        while (job := search.start_trial()) is not None:
            epochs.append(job.fidelity.epochs)
            search.finish_trial(evaluate(job))
    trials = list(read_record(tmp_path).trials.values())
    # Every second result lets one more be promoted.
    assert [trial.rung for trial in trials] == [0, 0, 1] * 4
    assert epochs == [1, 1, 2] * 4
    for promoted in trials[2::3]:
        assert promoted.key in {trial.key for trial in trials[: promoted.number] if trial.rung == 0}
    assert told == [trial.proposal.decisions for trial in trials if trial.rung == 0]


def test_a_journal_with_promotions_is_refused_by_a_search_without(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        run_all(make_search(journal, 6, promotion=Promotion(num_rungs=2, reduction=2)))
        with pytest.raises(InputError, match=r"the journal in .* has promotions beyond 1 rungs"):
            make_search(journal, 6)


@pytest.mark.parametrize(
    ("num_trials", "seed", "message"),
    [
        (0, 0, "num_trials must be from 1 to .*, got 0"),
        (1, -1, "seed must be 0 to 4294967295, got -1"),
        (1, 2**32, "seed must be 0 to 4294967295, got 4294967296"),
    ],
)
def test_an_impossible_plan_is_refused(num_trials: int, seed: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(num_trials, seed, Fidelity(1))
