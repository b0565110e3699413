import numpy as np
import pytest

from controllers import Proposal
from controllers.local_search import LocalSearch
from search_space import Decisions, ScalePermutedSpace, published_spec, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def sample(seed: int) -> Decisions:
    return SPACE.sample(rng(seed))


def mutants(decisions: Decisions, count: int) -> list[Decisions]:
    return [SPACE.mutate(decisions, rng(1000 + i)) for i in range(count)]


def is_near(first: Decisions, second: Decisions) -> bool:
    # A mutation changes six decisions at most: level, offset and kind of two blocks.
    return sum(a != b for a, b in zip(first, second, strict=True)) <= 6


def test_it_climbs_from_the_best_so_far() -> None:
    controller = LocalSearch(SPACE)
    for seed, reward in ((0, 0.3), (1, 0.5), (2, 0.4)):
        controller.tell(Proposal(sample(seed)), reward)
    assert all(is_near(controller.ask(rng(i)).decisions, sample(1)) for i in range(20))


def test_before_the_first_result_it_draws_from_the_space() -> None:
    controller = LocalSearch(SPACE)
    controller.tell(Proposal(sample(0)), None)
    assert controller.ask(rng(5)).decisions == sample(5)


def test_a_known_neighbour_is_not_proposed_while_others_are_left() -> None:
    # Only the parents of nine blocks: 5 blocks of 3 to 7 steps, so repeats would be frequent.
    space = ScalePermutedSpace(published_spec("r23-sp30"), permutation=False, level_offsets=(), kinds=())
    controller = LocalSearch(space)
    start = space.sample(rng(0))
    controller.tell(Proposal(start), 1.0)
    asked = []
    for i in range(30):
        asked.append(controller.ask(rng(i)).decisions)
        controller.tell(Proposal(asked[-1]), 0.0)
    assert len(set(asked)) == len(asked)
    assert start not in asked


def stuck(patience: int = 10) -> tuple[LocalSearch, Decisions]:
    """Return a search that has just left its peak, and the peak."""
    controller, peak = LocalSearch(SPACE, patience), sample(0)
    controller.tell(Proposal(peak), 0.8)
    for i, decisions in enumerate(mutants(peak, patience)):
        assert is_near(controller.ask(rng(i)).decisions, peak)
        controller.tell(Proposal(decisions), None if i % 2 else 0.7)
    return controller, peak


def test_it_starts_elsewhere_when_stuck() -> None:
    controller, _ = stuck()
    assert controller.ask(rng(7)).decisions == sample(7)
    controller.tell(Proposal(sample(7)), 0.2)
    assert is_near(controller.ask(rng(8)).decisions, sample(7))


def test_results_that_are_only_as_good_do_not_keep_a_climb_alive() -> None:
    controller = LocalSearch(SPACE, patience=10)
    controller.tell(Proposal(sample(0)), 0.8)
    for decisions in mutants(sample(0), 10):
        controller.tell(Proposal(decisions), 0.8)
    assert controller.ask(rng(7)).decisions == sample(7)


def test_late_results_of_the_old_climb_do_not_lead_back_to_it() -> None:
    controller, peak = stuck()
    for decisions in mutants(peak, 30):
        controller.tell(Proposal(decisions), 0.79)
    controller.tell(Proposal(sample(7)), 0.2)
    for decisions in mutants(peak, 30):
        controller.tell(Proposal(decisions), 0.79)
    assert is_near(controller.ask(rng(8)).decisions, sample(7))


def test_the_old_climb_resumes_if_a_late_result_beats_its_peak() -> None:
    controller, peak = stuck()
    better = mutants(peak, 1)[0]
    controller.tell(Proposal(better), 0.81)
    assert is_near(controller.ask(rng(8)).decisions, better)
    # What is more like the old peak, and better than that, must still beat the new best.
    controller.tell(Proposal(peak), 0.805)
    assert all(is_near(controller.ask(rng(i)).decisions, better) for i in range(20))
    # It was no peak; this one may be, and is left in its turn.
    for decisions in mutants(better, 10):
        controller.tell(Proposal(decisions), 0.7)
    assert controller.ask(rng(9)).decisions == sample(9)


def test_results_of_the_new_climb_count_however_like_the_old_peak_they_are() -> None:
    # Kinds alone: architectures drawn apart have half of their fifteen decisions in common.
    space = ScalePermutedSpace(published_spec("spinenet-49"), permutation=False, connections=False, level_offsets=())
    peak = (0,) * 15
    neighbours = [tuple(int(i == j) for i in range(15)) for j in range(4)]
    controller = LocalSearch(space, patience=4)
    for decisions, reward in ((peak, 0.8), *((neighbour, 0.7) for neighbour in neighbours)):
        controller.tell(Proposal(decisions), reward)
    start, better = (1,) * 7 + (0,) * 8, (1,) * 6 + (0,) * 9
    controller.tell(Proposal((1,) * 15), 0.1)
    controller.tell(Proposal((1,) * 8 + (0,) * 7), 0.2)
    for decisions, reward in ((start, 0.3), (better, 0.4)):
        controller.tell(Proposal(decisions), reward)
    assert sum(a != b for a, b in zip(controller.ask(rng(0)).decisions, better, strict=True)) <= 2


def test_no_patience_is_refused() -> None:
    with pytest.raises(ValueError, match=r"patience must be from 1 to .*, got 0"):
        LocalSearch(SPACE, patience=0)
