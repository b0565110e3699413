"""What every controller must hold; a new controller joins by one line."""

from collections.abc import Callable

import numpy as np
import pytest

from controllers import Controller, Proposal, RandomSearch, RegularizedEvolution
from search_space import ScalePermutedSpace, SearchSpace, published_spec, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))
SMALL = ScalePermutedSpace(published_spec("r23-sp30"), permutation=False, level_offsets=(), kinds=())

CONTROLLERS: dict[str, Callable[[SearchSpace], Controller]] = {
    "random": RandomSearch,
    "evolution": lambda space: RegularizedEvolution(space, population_size=8, tournament_size=3),
}

every_controller = pytest.mark.parametrize("make", CONTROLLERS.values(), ids=CONTROLLERS.keys())


def rng(trial: int) -> np.random.Generator:
    return np.random.default_rng([0, trial])


def reward_of(proposal: Proposal) -> float:
    return sum(proposal.decisions) / 100


@every_controller
@pytest.mark.parametrize("space", [SPACE, SMALL], ids=["spinenet", "connections only"])
def test_every_proposal_decodes_whatever_was_told(
    make: Callable[[SearchSpace], Controller], space: SearchSpace
) -> None:
    controller = make(space)
    for trial in range(40):
        proposal = controller.ask(rng(trial))
        space.decode(proposal.decisions)
        controller.tell(proposal, None if trial % 5 == 0 else reward_of(proposal))


@every_controller
def test_asking_changes_nothing(make: Callable[[SearchSpace], Controller]) -> None:
    asked_often, asked_once = make(SPACE), make(SPACE)
    for trial in range(20):
        for extra in range(3):
            asked_often.ask(rng(1000 + extra))
        proposal = asked_once.ask(rng(trial))
        assert asked_often.ask(rng(trial)) == proposal
        asked_often.tell(proposal, reward_of(proposal))
        asked_once.tell(proposal, reward_of(proposal))


@every_controller
def test_a_fresh_controller_told_the_same_proposes_the_same(make: Callable[[SearchSpace], Controller]) -> None:
    first = make(SPACE)
    told: list[tuple[Proposal, float | None]] = []
    for trial in range(30):
        proposal = first.ask(rng(trial))
        told.append((proposal, None if trial % 7 == 0 else reward_of(proposal)))
        first.tell(*told[-1])
    again = make(SPACE)
    for proposal, reward in told:
        again.tell(proposal, reward)
    assert [again.ask(rng(t)) for t in range(30, 40)] == [first.ask(rng(t)) for t in range(30, 40)]


@every_controller
def test_results_may_come_late_and_out_of_order(make: Callable[[SearchSpace], Controller]) -> None:
    controller = make(SPACE)
    proposals = [controller.ask(rng(trial)) for trial in range(20)]
    for proposal in reversed(proposals):
        controller.tell(proposal, reward_of(proposal))
    SPACE.decode(controller.ask(rng(20)).decisions)


@every_controller
def test_results_it_never_asked_for_are_taken(make: Callable[[SearchSpace], Controller]) -> None:
    controller = make(SPACE)
    for _ in range(20):
        controller.tell(Proposal(SPACE.encode(published_spec("spinenet-49"))), 0.4)
    SPACE.decode(controller.ask(rng(0)).decisions)


@every_controller
def test_nothing_but_failures_is_survived(make: Callable[[SearchSpace], Controller]) -> None:
    controller = make(SPACE)
    for trial in range(30):
        controller.tell(controller.ask(rng(trial)), None)
    SPACE.decode(controller.ask(rng(30)).decisions)
