import re

import numpy as np
import pytest

from controllers import Controller, Proposal
from controllers.evolution import RegularizedEvolution
from controllers.random_search import RandomSearch
from proxy_tasks.landscape import true_score
from search_space import Decisions, ScalePermutedSpace, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))


def samples(count: int) -> list[Decisions]:
    return [SPACE.sample(np.random.default_rng([7, i])) for i in range(count)]


def num_different(a: Decisions, b: Decisions) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


def parent_of(child: Decisions, candidates: list[Decisions]) -> int:
    return min(range(len(candidates)), key=lambda i: num_different(child, candidates[i]))


@pytest.mark.parametrize(("population", "tournament"), [(5, 6), (5, 0)])
def test_impossible_sizes_are_refused(population: int, tournament: int) -> None:
    message = f"tournament_size must be 1 to population_size ({population}), got {tournament}"
    with pytest.raises(ValueError, match=re.escape(message)):
        RegularizedEvolution(SPACE, population, tournament)


def test_a_population_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"population_size must be from 1 to 1e\+07 \(no run has more trials\), got 0"):
        RegularizedEvolution(SPACE, population_size=0, tournament_size=0)


def test_first_proposals_are_drawn_from_the_space() -> None:
    controller = RegularizedEvolution(SPACE, population_size=5, tournament_size=2)
    for trial in range(5):
        proposal = controller.ask(np.random.default_rng(trial))
        assert proposal.decisions == SPACE.sample(np.random.default_rng(trial))
        controller.tell(proposal, 0.1)
    assert controller.ask(np.random.default_rng(5)).decisions != SPACE.sample(np.random.default_rng(5))


def test_mutation_may_begin_before_the_population_is_full() -> None:
    controller = RegularizedEvolution(SPACE, population_size=10, tournament_size=10, num_random=2)
    first, second = samples(2)
    controller.tell(Proposal(first), 0.1)
    assert controller.ask(np.random.default_rng(5)).decisions == SPACE.sample(np.random.default_rng(5))
    controller.tell(Proposal(second), 0.9)
    assert parent_of(controller.ask(np.random.default_rng(5)).decisions, [first, second]) == 1


@pytest.mark.parametrize("num_random", [0, 6])
def test_an_impossible_beginning_is_refused(num_random: int) -> None:
    with pytest.raises(ValueError, match=re.escape(f"num_random must be 1 to population_size (5), got {num_random}")):
        RegularizedEvolution(SPACE, 5, 2, num_random)


def test_failed_trials_do_not_fill_the_population() -> None:
    controller = RegularizedEvolution(SPACE, population_size=3, tournament_size=2)
    for decisions in samples(10):
        controller.tell(Proposal(decisions), None)
    assert controller.ask(np.random.default_rng(0)).decisions == SPACE.sample(np.random.default_rng(0))


def test_parent_is_the_best_of_the_tournament() -> None:
    controller = RegularizedEvolution(SPACE, population_size=6, tournament_size=6)
    members = samples(6)
    for i, decisions in enumerate(members):
        controller.tell(Proposal(decisions), 1.0 if i == 2 else 0.1)
    for seed in range(10):
        assert parent_of(controller.ask(np.random.default_rng(seed)).decisions, members) == 2


def test_the_oldest_member_dies_even_if_it_is_the_best() -> None:
    controller = RegularizedEvolution(SPACE, population_size=4, tournament_size=4)
    members = samples(6)
    rewards = [1.0, 0.9, 0.1, 0.1, 0.1, 0.1]
    parents = []
    for i, (decisions, reward) in enumerate(zip(members, rewards, strict=True)):
        controller.tell(Proposal(decisions), reward)
        if i >= 3:
            parents.append(parent_of(controller.ask(np.random.default_rng(i)).decisions, members))
    # With all four as entrants the parent is the best alive: 0 while it lives, then 1, then any of the last four.
    assert parents[:2] == [0, 1]
    assert parents[2] in (2, 3, 4, 5)


def best_after(controller: Controller, num_trials: int, seed: int) -> float:
    best = 0.0
    for trial in range(num_trials):
        proposal = controller.ask(np.random.default_rng([seed, trial]))
        score = true_score(SPACE.decode(proposal.decisions).spec)
        controller.tell(proposal, score)
        best = max(best, score)
    return best


def test_evolution_climbs_the_landscape_faster_than_random_search() -> None:
    # Eight paired seeds, 300 trials: evolution ahead in all of them has probability 1/256 if it were no better.
    for seed in range(8):
        evolution = best_after(RegularizedEvolution(SPACE, 40, 10), 300, seed)
        assert evolution > best_after(RandomSearch(SPACE), 300, seed)
