import numpy as np
import pytest

from benchmarks.controllers import front_area
from controllers import Controller, Proposal
from controllers.pareto_evolution import ParetoEvolution, crowding_distances, front_numbers
from controllers.random_search import RandomSearch
from proxy_tasks.landscape import Landscape, true_score
from search_space import Candidate, ScalePermutedSpace, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))


def test_fronts_by_hand() -> None:
    points = np.array([[1, 5], [2, 3], [4, 1], [1, 4], [2, 1], [0, 0], [2, 3]], dtype=float)
    # (1, 5), (2, 3) twice and (4, 1) beat each other nowhere; (1, 4) is below the first, (2, 1) below the second.
    assert front_numbers(points).tolist() == [0, 0, 0, 1, 1, 2, 0]


def test_crowding_by_hand() -> None:
    # Extents 4 and 8. The second point's neighbours are 2 and 6 apart, the third's 3 and 5.
    points = np.array([[0, 8], [1, 5], [2, 2], [4, 0]], dtype=float)
    assert crowding_distances(points).tolist() == [np.inf, 2 / 4 + 6 / 8, 3 / 4 + 5 / 8, np.inf]


def test_equal_points_are_crowded() -> None:
    assert crowding_distances(np.array([[1.0, 1.0]] * 4)).tolist() == [np.inf, 0, 0, np.inf]


def test_the_least_crowded_member_of_the_last_front_leaves_last() -> None:
    controller = ParetoEvolution(SPACE, population_size=4, tournament_size=4)
    # A front of four and one point behind it, then a fifth for the front: first the point behind goes, then the most
    # crowded of the five, which is the third.
    points = [(0.0, 0.0), (0.0, 8.0), (1.0, 7.5), (1.2, 7.0), (4.0, 0.0), (2.0, 6.0)]
    decisions = [SPACE.sample(np.random.default_rng(i)) for i in range(6)]
    for vector, point in zip(decisions, points, strict=True):
        controller.tell(Proposal(vector), point[0], point)
    assert controller._members == [decisions[i] for i in (1, 3, 4, 5)]


def area_found(controller: Controller, seed: int, num_trials: int = 300) -> float:
    """Return the area under the front of score against multiply-adds that a search finds."""
    task, points = Landscape(), []
    for trial in range(num_trials):
        proposal = controller.ask(np.random.default_rng([seed, trial]))
        spec = SPACE.decode(proposal.decisions).spec
        score, macs = true_score(spec), task.costs(Candidate(spec))["macs"]
        points.append((score, macs))
        controller.tell(proposal, score, (score, -macs))
    return front_area(points)


def test_it_finds_a_better_front_than_random_search() -> None:
    pairs = [
        (area_found(ParetoEvolution(SPACE, 20, 4), seed), area_found(RandomSearch(SPACE), seed)) for seed in range(6)
    ]
    differences = np.array([ours - random for ours, random in pairs])
    # Three standard errors above no difference.
    assert differences.mean() > 3 * differences.std(ddof=1) / np.sqrt(len(differences))


def test_without_objectives_the_reward_is_the_only_one() -> None:
    controller = ParetoEvolution(SPACE, population_size=3, tournament_size=3)
    decisions = [SPACE.sample(np.random.default_rng(i)) for i in range(6)]
    for i, vector in enumerate(decisions):
        controller.tell(Proposal(vector), 0.9 if i == 1 else 0.1)
    child = controller.ask(np.random.default_rng(0)).decisions
    assert sum(a != b for a, b in zip(child, decisions[1], strict=True)) <= 6


@pytest.mark.parametrize(("population", "tournament"), [(5, 6), (5, 0)])
def test_impossible_sizes_are_refused(population: int, tournament: int) -> None:
    with pytest.raises(ValueError, match="tournament_size must be 1 to population_size"):
        ParetoEvolution(SPACE, population, tournament)


def test_an_architecture_joins_once() -> None:
    controller = ParetoEvolution(SPACE, population_size=3, tournament_size=1)
    first, second = (SPACE.sample(np.random.default_rng(i)) for i in range(2))
    # The parents of the first block the other way round: other decisions, one architecture.
    swapped = (*first[:15], first[16], first[15], *first[17:])
    assert SPACE.decode(swapped).spec == SPACE.decode(first).spec
    for decisions in (first, first, swapped, second):
        controller.tell(Proposal(decisions), 0.5)
    # Two members of three: still drawing from the space.
    assert controller.ask(np.random.default_rng(9)).decisions == SPACE.sample(np.random.default_rng(9))
