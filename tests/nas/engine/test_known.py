from dataclasses import replace

import pytest

from controllers.base import Proposal
from nas.engine.known import MAX_WAITING, KnownArchitectures
from nas.record.trial import Trial
from proxy_tasks import Numerics
from search_space import published_spec

SPEC = published_spec("spinenet-49")


def trial(number: int, key: str = "a", rung: int = 0) -> Trial:
    return Trial(number, Proposal((0,), rung=rung), SPEC, key)


def completed(number: int, key: str = "a", rung: int = 0) -> Trial:
    return replace(trial(number, key, rung), status="completed", reward=0.5)


def failed(number: int) -> Trial:
    return replace(trial(number), status="failed")


def test_of_equal_architectures_one_is_trained_and_the_others_wait_in_their_order() -> None:
    known = KnownArchitectures()
    assert [known.begin(trial(number)) for number in (3, 4, 5)] == [True, False, False]
    assert known.end(completed(3)) == [4, 5]
    assert known.trained_by(trial(4)) == 3


@pytest.mark.parametrize("other", [trial(4, "b"), trial(4, rung=1)], ids=["another key", "more training"])
def test_another_architecture_or_amount_of_training_does_not_wait(other: Trial) -> None:
    known = KnownArchitectures()
    assert known.begin(trial(3))
    assert known.begin(other)
    assert known.end(completed(3)) == []
    assert known.trained_by(other) is None


def test_a_training_in_other_numerics_is_not_reused() -> None:
    known = KnownArchitectures()
    bf16, float32 = Numerics("bfloat16", "cpu AVX512", 2), Numerics("float32", "cpu AVX512", 2)
    known.end(replace(completed(2), numerics=bf16))
    assert known.trained_by(trial(5), bf16) == 2
    assert [known.trained_by(trial(5), other) for other in (float32, replace(bf16, threads=1), None)] == [None] * 3
    known.end(replace(completed(6), numerics=float32))
    assert known.trained_by(trial(7), float32) == 6


def test_a_failed_trial_leaves_the_next_to_be_trained() -> None:
    known = KnownArchitectures()
    known.begin(trial(0))
    known.begin(trial(1))
    assert known.end(failed(0)) == [1]
    assert known.trained_by(trial(1)) is None
    assert known.begin(trial(1))


def test_an_interrupted_trial_begins_again_while_the_others_wait_on() -> None:
    known = KnownArchitectures()
    known.begin(trial(0))
    known.begin(trial(1))
    known.interrupt(trial(0))
    assert known.begin(trial(0))
    assert known.end(completed(0)) == [1]


def test_the_first_of_two_trainings_is_the_one_that_is_reused() -> None:
    known = KnownArchitectures()
    assert known.end(completed(2)) == []
    known.end(completed(7))
    assert known.trained_by(trial(8)) == 2


@pytest.mark.parametrize("status", ["reused", "rejected", "running"])
def test_a_trial_that_was_not_trained_changes_nothing(status: str) -> None:
    known = KnownArchitectures()
    known.begin(trial(0))
    known.begin(trial(1))
    assert known.end(replace(trial(2), status=status)) == []  # type: ignore[arg-type]  # one of Status
    assert known.trained_by(trial(1)) is None
    assert not known.begin(trial(3))


def test_no_more_than_so_many_wait() -> None:
    known = KnownArchitectures()
    begun = [known.begin(trial(number)) for number in range(MAX_WAITING + 3)]
    assert begun == [True] + [False] * MAX_WAITING + [True, True]
    assert known.end(completed(0)) == list(range(1, MAX_WAITING + 1))
    assert known.begin(trial(MAX_WAITING + 3))
