from collections.abc import Sequence
from itertools import count

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controllers import Proposal, RandomSearch, SuccessiveHalving
from search_space import Decisions, ScalePermutedSpace, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))


class Counting:
    """Proposes (0,), (1,), (2,) and so on, which no space need decode; notes what it is told."""

    min_objectives = 1

    def __init__(self) -> None:
        self.told: list[tuple[Decisions, float | None]] = []
        self._numbers = count()

    def ask(self, rng: np.random.Generator) -> Proposal:
        return Proposal((next(self._numbers),))

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        self.told.append((proposal.decisions, reward))


def rng(trial: int = 0) -> np.random.Generator:
    return np.random.default_rng([0, trial])


def test_the_best_of_each_four_is_promoted_and_new_ones_fill_the_rest() -> None:
    halving = SuccessiveHalving(Counting(), num_rungs=2, reduction=4)
    for i, reward in enumerate((0.1, 0.4, 0.3)):
        assert halving.ask(rng()) == Proposal((i,))
        halving.tell(Proposal((i,)), reward)
    assert halving.ask(rng()) == Proposal((3,))
    halving.tell(Proposal((3,)), 0.2)
    best = Proposal((1,), rung=1)
    assert halving.ask(rng()) == best
    # Under way: the next proposal is new.
    assert halving.ask(rng(), [best]) == Proposal((4,))
    halving.tell(best, 0.5)
    assert halving.ask(rng()) == Proposal((5,))


def test_higher_rungs_come_first() -> None:
    halving = SuccessiveHalving(Counting(), num_rungs=3, reduction=2)
    for i in range(8):
        halving.tell(Proposal((i,)), i / 10)
    assert halving.ask(rng()) == Proposal((7,), rung=1)
    halving.tell(Proposal((7,), rung=1), 0.7)
    halving.tell(Proposal((6,), rung=1), 0.9)
    assert halving.ask(rng()) == Proposal((6,), rung=2)
    halving.tell(Proposal((6,), rung=2), 0.9)
    assert halving.ask(rng()) == Proposal((5,), rung=1)


def test_a_failed_promotion_is_not_tried_again_and_a_failed_trial_never_promoted() -> None:
    halving = SuccessiveHalving(Counting(), num_rungs=2, reduction=2)
    for i, reward in enumerate((None, 0.9, 0.1)):
        halving.tell(Proposal((i,)), reward)
    assert halving.ask(rng()) == Proposal((1,), rung=1)
    halving.tell(Proposal((1,), rung=1), None)
    assert halving.ask(rng()).rung == 0


def test_the_controller_learns_from_the_first_rung_alone() -> None:
    inner = Counting()
    halving = SuccessiveHalving(inner, num_rungs=2, reduction=2)
    halving.tell(Proposal((0,)), 0.1)
    halving.tell(Proposal((1,)), 0.2)
    halving.tell(Proposal((1,), rung=1), 0.7)
    assert inner.told == [((0,), 0.1), ((1,), 0.2)]


def test_one_rung_changes_nothing() -> None:
    plain, halving = RandomSearch(SPACE), SuccessiveHalving(RandomSearch(SPACE), num_rungs=1)
    for trial in range(10):
        assert halving.ask(rng(trial)) == plain.ask(rng(trial))
        halving.tell(plain.ask(rng(trial)), float(trial))


def test_a_controller_that_always_improves_is_promoted_no_more_often_than_one_of_so_many() -> None:
    halving = SuccessiveHalving(Counting(), num_rungs=3, reduction=4)
    numbers = [0, 0, 0]
    for trial in range(1000):
        proposal = halving.ask(rng())
        numbers[proposal.rung] += 1
        halving.tell(proposal, float(trial))
    assert numbers[0] // 4 - 1 <= numbers[1] <= numbers[0] / 4
    assert numbers[1] // 4 - 1 <= numbers[2] <= numbers[1] / 4


def promoted_by_definition(rungs: Sequence[dict[Decisions, float]], reduction: int) -> Proposal | None:
    """Return the promotion of the paper's algorithm 2, with our bound, written out; dicts keep the order of arrival."""
    for number in reversed(range(len(rungs) - 1)):
        ranked = sorted(rungs[number], key=lambda d: -rungs[number][d])
        top = ranked[: len(ranked) // reduction]
        if len(rungs[number + 1]) >= len(top):
            continue
        if promotable := [decisions for decisions in top if decisions not in rungs[number + 1]]:
            return Proposal(promotable[0], rung=number + 1)
    return None


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(2, 4))
def test_promotions_are_those_of_the_paper(rewards: list[int], reduction: int) -> None:
    halving = SuccessiveHalving(Counting(), num_rungs=3, reduction=reduction)
    rungs: list[dict[Decisions, float]] = [{}, {}, {}]
    for reward in rewards:
        proposal = halving.ask(rng())
        expected = promoted_by_definition(rungs, reduction)
        assert proposal == expected if expected is not None else proposal.rung == 0
        halving.tell(proposal, float(reward))
        rungs[proposal.rung][proposal.decisions] = float(reward)
