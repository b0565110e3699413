"""A controller that draws in `tell`: from a seed of the constructor, so it is deterministic."""

import numpy as np
from annealing import SimulatedAnnealing

from controllers import Proposal
from search_space import ScalePermutedSpace, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))


def told_forty_results(seed: int) -> SimulatedAnnealing:
    controller = SimulatedAnnealing(SPACE, seed)
    for i in range(40):
        # Each is worse than the one before, so chance alone decides which is accepted last.
        controller.tell(Proposal(SPACE.sample(np.random.default_rng(i))), -i / 10)
    return controller


def test_one_seed_accepts_the_same_results_and_proposes_the_same() -> None:
    first, second = told_forty_results(seed=3), told_forty_results(seed=3)
    assert first.ask(np.random.default_rng(0)) == second.ask(np.random.default_rng(0))


def test_tell_draws_so_another_seed_accepts_other_results() -> None:
    proposals = {told_forty_results(seed).ask(np.random.default_rng(0)) for seed in range(10)}
    assert len(proposals) > 1
