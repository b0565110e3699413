"""The contract suite of controllers; a new one joins by one line in `CONTROLLERS`."""

import doctest
import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
from annealing import SimulatedAnnealing

from controllers import Controller, Proposal
from controllers.evolution import RegularizedEvolution
from controllers.guided import Guided
from controllers.learner import LearnerSettings
from controllers.local_search import LocalSearch
from controllers.pareto_evolution import ParetoEvolution
from controllers.ppo import PPO
from controllers.random_search import RandomSearch
from controllers.reinforce import Reinforce
from search_space import Candidate, Decisions, ScalePermutedSpace, SearchSpace, published_spec, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))
SMALL = ScalePermutedSpace(published_spec("r23-sp30"), permutation=False, level_offsets=(), kinds=())

LEARNER = LearnerSettings(learning_rate=0.02, entropy_weight=0.01, hidden_width=16, batch_size=4)

Make: TypeAlias = Callable[[SearchSpace], Controller]

CONTROLLERS: dict[str, Make] = {
    "random": RandomSearch,
    "evolution": lambda space: RegularizedEvolution(space, population_size=8, tournament_size=3),
    "pareto_evolution": lambda space: ParetoEvolution(space, population_size=8, tournament_size=2),
    "local_search": lambda space: LocalSearch(space, patience=5),
    "guided": lambda space: Guided(space, num_parents=4, num_random=4, num_candidates=8),
    "guided without its model": lambda space: Guided(space, "none", num_parents=4, num_random=4),
    "reinforce": lambda space: Reinforce(space, LEARNER),
    "ppo": lambda space: PPO(space, LEARNER, num_epochs=2),
    "annealing": SimulatedAnnealing,
}

every_controller = pytest.mark.parametrize("make", CONTROLLERS.values(), ids=CONTROLLERS.keys())


def rng(trial: int, seed: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, trial])


def reward_of(proposal: Proposal) -> float:
    return sum(proposal.decisions) / 100


def objectives_of(proposal: Proposal) -> tuple[float, float]:
    return reward_of(proposal), -float(proposal.decisions[0])


def search(make: Make, seed: int, num_trials: int = 30) -> list[Decisions]:
    controller, asked = make(SPACE), []
    for trial in range(num_trials):
        proposal = controller.ask(rng(trial, seed))
        asked.append(proposal.decisions)
        controller.tell(proposal, reward_of(proposal), objectives_of(proposal))
    return asked


@every_controller
def test_the_example_in_the_contract_is_true(make: Make) -> None:
    names = {"controller": make(SPACE), "fresh": make(SPACE), "rng": rng}
    example = doctest.DocTestParser().get_doctest(Controller.__doc__ or "", names, "Controller", None, None)
    results = doctest.DocTestRunner().run(example)
    assert results.attempted == 8
    assert results.failed == 0


@every_controller
@pytest.mark.parametrize("space", [SPACE, SMALL], ids=["spinenet", "connections only"])
def test_every_proposal_decodes_whatever_was_told(make: Make, space: SearchSpace) -> None:
    controller = make(space)
    for trial in range(40):
        proposal = controller.ask(rng(trial))
        space.decode(proposal.decisions)
        controller.tell(proposal, None if trial % 5 == 0 else reward_of(proposal))


@every_controller
def test_the_same_seed_is_the_same_search_and_another_seed_another(make: Make) -> None:
    first = search(make, seed=0)
    assert search(make, seed=0) == first
    assert search(make, seed=1) != first


@every_controller
def test_asking_changes_nothing(make: Make) -> None:
    asked_often, asked_once = make(SPACE), make(SPACE)
    for trial in range(20):
        for extra in range(3):
            asked_often.ask(rng(1000 + extra))
        proposal = asked_once.ask(rng(trial))
        assert asked_often.ask(rng(trial)) == proposal
        asked_often.tell(proposal, reward_of(proposal))
        asked_once.tell(proposal, reward_of(proposal))


@every_controller
def test_a_fresh_controller_told_the_same_proposes_the_same(make: Make) -> None:
    first = make(SPACE)
    told: list[tuple[Proposal, float | None, tuple[float, ...]]] = []
    for trial in range(30):
        asked = first.ask(rng(trial))
        told.append((asked, None, ()) if trial % 7 == 0 else (asked, reward_of(asked), objectives_of(asked)))
        first.tell(*told[-1])
    again = make(SPACE)
    for result in told:
        again.tell(*result)
    assert [again.ask(rng(t)) for t in range(30, 40)] == [first.ask(rng(t)) for t in range(30, 40)]


@every_controller
def test_two_controllers_told_the_same_in_the_same_order_propose_the_same(make: Make) -> None:
    first, second = make(SPACE), make(SPACE)
    for trial in range(30):
        result = Proposal(SPACE.sample(rng(trial, seed=5)), log_prob=-50.0)
        for controller in (first, second):
            controller.tell(result, reward_of(result), objectives_of(result))
        assert first.ask(rng(trial)) == second.ask(rng(trial))


@every_controller
def test_objectives_are_heeded_where_two_are_needed_and_ignored_elsewhere(make: Make) -> None:
    plain, opposed = make(SPACE), make(SPACE)
    for trial in range(30):
        result = Proposal(SPACE.sample(rng(trial, seed=5)), log_prob=-50.0)
        reward = reward_of(result)
        plain.tell(result, reward, (reward, 0.0))
        opposed.tell(result, reward, (0.0, -reward))
    is_same = [plain.ask(rng(t)) for t in range(10)] == [opposed.ask(rng(t)) for t in range(10)]
    assert is_same == (plain.min_objectives == 1)


@every_controller
def test_results_may_come_late_and_out_of_order(make: Make) -> None:
    controller = make(SPACE)
    proposals = [controller.ask(rng(trial)) for trial in range(20)]
    for proposal in reversed(proposals):
        controller.tell(proposal, reward_of(proposal))
    SPACE.decode(controller.ask(rng(20)).decisions)


@every_controller
def test_results_it_never_asked_for_are_taken(make: Make) -> None:
    controller = make(SPACE)
    for i in range(20):
        controller.tell(Proposal(SPACE.sample(rng(i))), i / 20)
    SPACE.decode(controller.ask(rng(0)).decisions)


@every_controller
def test_the_same_result_again_and_again_is_survived(make: Make) -> None:
    controller = make(SPACE)
    proposal = controller.ask(rng(0))
    for _ in range(40):
        controller.tell(proposal, 0.4)
        controller.tell(Proposal(SPACE.encode(Candidate(published_spec("spinenet-49")))), 0.4)
    SPACE.decode(controller.ask(rng(1)).decisions)


@every_controller
def test_nothing_but_failures_is_survived(make: Make) -> None:
    controller = make(SPACE)
    for trial in range(30):
        controller.tell(controller.ask(rng(trial)), None)
    SPACE.decode(controller.ask(rng(30)).decisions)


@every_controller
@pytest.mark.parametrize("log_prob", [-1e9, -200.0, 0.0, 1e9, float("-inf"), float("nan")])
def test_results_with_odd_probabilities_are_survived(make: Make, log_prob: float) -> None:
    controller = make(SPACE)
    for i in range(12):
        controller.tell(Proposal(SPACE.sample(rng(i)), log_prob), i / 12)
    proposal = controller.ask(rng(0))
    SPACE.decode(proposal.decisions)
    assert proposal.log_prob is None or math.isfinite(proposal.log_prob)


STOPPED = [Proposal(SPACE.sample(rng(trial, seed=9)), log_prob=-50.0) for trial in range(4)]
"""Results without a reward: failed, rejected or stopped, as their loss was among the worst."""


@every_controller
def test_what_has_no_reward_is_not_a_parent_and_moves_no_policy(make: Make) -> None:
    plain, told_more = make(SPACE), make(SPACE)
    for trial in range(12):
        result = Proposal(SPACE.sample(rng(trial, seed=5)), log_prob=-50.0)
        for controller in (plain, told_more):
            controller.tell(result, reward_of(result), objectives_of(result))
        if trial % 3 == 0:
            told_more.tell(STOPPED[trial // 3], None)
    assert [told_more.ask(rng(t)) for t in range(10)] == [plain.ask(rng(t)) for t in range(10)]


def test_guided_search_does_not_propose_again_what_was_stopped() -> None:
    controller = CONTROLLERS["guided"](SPACE)
    for trial in range(8):
        result = Proposal(SPACE.sample(rng(trial, seed=5)))
        controller.tell(result, reward_of(result))
    for _ in range(5):
        proposal = controller.ask(rng(0))
        controller.tell(proposal, None)
        assert controller.ask(rng(0)) != proposal


def test_local_search_leaves_a_peak_around_which_too_many_were_stopped() -> None:
    controller = CONTROLLERS["local_search"](SPACE)
    peak = Proposal(SPACE.sample(rng(0, seed=5)))
    controller.tell(peak, 0.5)
    for trial in range(5):
        # A mutant shares nearly all decisions with the peak, what is drawn anew does not.
        proposal = controller.ask(rng(trial))
        assert sum(a == b for a, b in zip(proposal.decisions, peak.decisions, strict=True)) > len(peak.decisions) / 2
        controller.tell(proposal, None)
    assert controller.ask(rng(9)) == Proposal(SPACE.sample(rng(9)))
