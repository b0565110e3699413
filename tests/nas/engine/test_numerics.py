"""Results of other arithmetic in one run: none is reused in place of another, and each is recorded with its own."""

from pathlib import Path

import pytest

from nas.engine.job import Job, Outcome
from nas.engine.loop import Search
from nas.record.journal import Journal, read_record
from nas.record.numerics import count_numerics
from nas.record.trial import Failure
from proxy_tasks import Fidelity, Numerics
from search_space import Candidate
from tests.nas.engine.test_loop import SMALL_SPACE, TASK, evaluate, make_search

BF16, FLOAT32 = Numerics("bfloat16", "cpu AVX512+BF16", 2), Numerics("float32", "cpu AVX2", 2)
NUM_ARCHITECTURES = 4


def evaluate_in(job: Job, numerics: Numerics | None) -> Outcome:
    return Outcome(job.trial, TASK.evaluate(Candidate(job.candidate.spec), fidelity=Fidelity(1), seed=0), numerics)


def run_in(search: Search, numerics: Numerics | None) -> list[int]:
    """Run a search to its end on one worker; return the numbers of the trials that it trained."""
    trained = []
    while (job := search.start_trial(numerics)) is not None:
        trained.append(job.trial)
        search.finish_trial(evaluate_in(job, numerics))
    return trained


@pytest.mark.parametrize(
    ("then", "num_trained"),
    [(BF16, 0), (FLOAT32, NUM_ARCHITECTURES), (Numerics("bfloat16", "cpu AVX512+BF16", 1), NUM_ARCHITECTURES)],
)
def test_a_resumed_search_reuses_results_of_its_own_numerics_alone(
    tmp_path: Path, then: Numerics, num_trained: int
) -> None:
    with Journal(tmp_path, {}) as journal:
        assert len(run_in(make_search(journal, 40, space=SMALL_SPACE), BF16)) == NUM_ARCHITECTURES
    with Journal(tmp_path, {}) as journal:
        assert len(run_in(make_search(journal, 80, space=SMALL_SPACE), then)) == num_trained

    trials = read_record(tmp_path).trials
    assert {trial.numerics for trial in trials.values() if trial.number >= 40} == {then}
    reused = [trial for trial in trials.values() if trial.reused_from is not None]
    assert all(trial.numerics == trials[trial.reused_from or 0].numerics for trial in reused)


def test_results_of_an_older_version_are_not_taken_for_those_of_this_machine(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        run_in(make_search(journal, 40, space=SMALL_SPACE), None)
    assert "numerics" not in (tmp_path / "journal.jsonl").read_text()
    with Journal(tmp_path, {}) as journal:
        assert len(run_in(make_search(journal, 80, space=SMALL_SPACE), BF16)) == NUM_ARCHITECTURES

    # A result that was reused is no second one.
    counts = count_numerics(read_record(tmp_path).trials.values())
    assert counts == {None: NUM_ARCHITECTURES, BF16: NUM_ARCHITECTURES}


def test_one_that_waited_is_trained_by_a_worker_of_other_numerics_and_reused_by_one_of_the_same(tmp_path: Path) -> None:
    # A controller that proposes one architecture alone: the first is trained, the others wait for it.
    one = SMALL_SPACE.encode(Candidate(SMALL_SPACE.decode((0,) * len(SMALL_SPACE.decisions)).spec))
    with Journal(tmp_path, {}, [one] * 3) as journal:
        search = make_search(journal, 3, space=SMALL_SPACE)
        job = search.start_trial(BF16)
        assert job is not None
        assert search.start_trial(FLOAT32) is None
        search.finish_trial(evaluate_in(job, BF16))
        again = search.start_trial(FLOAT32)
        assert again is not None
        assert (again.trial, again.candidate) == (1, job.candidate)
        assert search.start_trial(BF16) is None
        search.finish_trial(evaluate_in(again, FLOAT32))
    trials = read_record(tmp_path).trials
    assert [(trial.status, trial.numerics) for trial in trials.values()] == [
        ("completed", BF16),
        ("completed", FLOAT32),
        ("reused", BF16),
    ]


def test_a_failure_is_recorded_with_its_numerics_and_each_is_reported_once(tmp_path: Path) -> None:
    seen: list[Numerics] = []
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, 4, on_numerics=seen.append)
        job = search.start_trial(BF16)
        assert job is not None
        search.finish_trial(Outcome(job.trial, Failure("nan", "diverged"), BF16))
        run_in(search, FLOAT32)
        assert seen == [BF16, FLOAT32]
    assert [trial.numerics for trial in read_record(tmp_path).trials.values()] == [BF16, *[FLOAT32] * 3]


def test_a_task_that_is_the_same_everywhere_writes_none(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, 2, on_numerics=lambda numerics: pytest.fail("nothing was computed in any"))
        while (job := search.start_trial()) is not None:
            search.finish_trial(evaluate(job))
    assert "numerics" not in (tmp_path / "journal.jsonl").read_text()
