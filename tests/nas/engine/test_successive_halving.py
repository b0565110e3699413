from collections.abc import Sequence
from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.base import Proposal
from nas.engine.successive_halving import SuccessiveHalving
from nas.record.promotion import Promotion
from proxy_tasks import Fidelity
from search_space import Decisions


def test_the_best_of_each_four_is_promoted_once() -> None:
    halving = SuccessiveHalving(num_rungs=2, reduction=4)
    for i, reward in enumerate((0.1, 0.4, 0.3)):
        halving.note(Proposal((i,)), reward)
        assert halving.promotion() is None
    halving.note(Proposal((3,)), 0.2)
    best = Proposal((1,), rung=1)
    assert halving.promotion() == best
    assert halving.promotion([best]) is None
    halving.note(best, 0.5)
    assert halving.promotion() is None


def test_a_promotion_that_is_running_counts_as_one_when_a_better_result_comes() -> None:
    halving = SuccessiveHalving(num_rungs=2, reduction=4)
    for i in range(4):
        halving.note(Proposal((i,)), i / 10)
    running = halving.promotion()
    assert running == Proposal((3,), rung=1)
    halving.note(Proposal((4,)), 0.9)
    assert halving.promotion([running]) is None


def test_each_rung_has_so_many_times_the_epochs_of_the_one_below() -> None:
    promotion = Promotion(num_rungs=3, reduction=4)
    assert [promotion.fidelity(Fidelity(3), rung).epochs for rung in range(3)] == [3, 12, 48]


def test_higher_rungs_come_first() -> None:
    halving = SuccessiveHalving(num_rungs=3, reduction=2)
    for i in range(8):
        halving.note(Proposal((i,)), i / 10)
    assert halving.promotion() == Proposal((7,), rung=1)
    halving.note(Proposal((7,), rung=1), 0.7)
    halving.note(Proposal((6,), rung=1), 0.9)
    assert halving.promotion() == Proposal((6,), rung=2)
    halving.note(Proposal((6,), rung=2), 0.9)
    assert halving.promotion() == Proposal((5,), rung=1)


def test_a_failed_promotion_is_not_tried_again_and_a_failed_trial_never_promoted() -> None:
    halving = SuccessiveHalving(num_rungs=2, reduction=2)
    for i, reward in enumerate((None, 0.9, 0.1)):
        halving.note(Proposal((i,)), reward)
    assert halving.promotion() == Proposal((1,), rung=1)
    halving.note(Proposal((1,), rung=1), None)
    assert halving.promotion() is None


def test_the_same_decisions_count_once() -> None:
    halving = SuccessiveHalving(num_rungs=2, reduction=2)
    halving.note(Proposal((1,)), 0.2)
    halving.note(Proposal((1,)), 0.2)
    assert halving.promotion() is None


@pytest.mark.parametrize("reward", [None, 0.5])
def test_one_rung_promotes_nothing(reward: float | None) -> None:
    halving = SuccessiveHalving(num_rungs=1)
    for i in range(10):
        halving.note(Proposal((i,)), reward)
        assert halving.promotion() is None


def test_a_search_that_always_improves_promotes_no_more_often_than_one_of_so_many() -> None:
    halving = SuccessiveHalving(num_rungs=3, reduction=4)
    new = count()
    numbers = [0, 0, 0]
    for trial in range(1000):
        proposal = halving.promotion() or Proposal((next(new),))
        numbers[proposal.rung] += 1
        halving.note(proposal, float(trial))
    assert numbers[0] // 4 - 1 <= numbers[1] <= numbers[0] / 4
    assert numbers[1] // 4 - 1 <= numbers[2] <= numbers[1] / 4


def promoted_by_definition(
    rungs: Sequence[dict[Decisions, float]], running: Sequence[Proposal], reduction: int
) -> Proposal | None:
    """Return the promotion of the paper's algorithm 2, with our bound, written out; dicts keep the order of arrival."""
    for above in reversed(range(1, len(rungs))):
        ranked = sorted(rungs[above - 1], key=lambda d: -rungs[above - 1][d])
        top = ranked[: len(ranked) // reduction]
        promoted = {*rungs[above], *(proposal.decisions for proposal in running if proposal.rung == above)}
        if len(promoted) >= len(top):
            continue
        if promotable := [decisions for decisions in top if decisions not in promoted]:
            return Proposal(promotable[0], rung=above)
    return None


@given(
    st.lists(st.integers(0, 5), max_size=60), st.integers(2, 4), st.integers(0, 4), st.randoms(use_true_random=False)
)
def test_promotions_are_those_of_the_paper(rewards: list[int], reduction: int, num_running: int, rng: Random) -> None:
    halving = SuccessiveHalving(num_rungs=3, reduction=reduction)
    rungs: list[dict[Decisions, float]] = [{}, {}, {}]
    running: list[Proposal] = []
    new = count()
    for reward in rewards:
        promotion = halving.promotion(running)
        assert promotion == promoted_by_definition(rungs, running, reduction)
        running.append(promotion or Proposal((next(new),)))

        # Results come in any order, as those of a pool of workers do.
        if len(running) > num_running:
            proposal = running.pop(rng.randrange(len(running)))
            halving.note(proposal, float(reward))
            rungs[proposal.rung][proposal.decisions] = float(reward)
