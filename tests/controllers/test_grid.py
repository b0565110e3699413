"""Grid search: every architecture once, whoever asks and whatever was told."""

import doctest

import numpy as np
import pytest

from controllers import Controller
from controllers.base import NothingLeftError, Proposal
from controllers.grid import GridSearch
from foundation import InputError
from search_space import ArchSpec, BlockSpec, ScalePermutedSpace, SearchSpace, StemBlock, resnet_seed

BASE = ArchSpec(
    (StemBlock(2), StemBlock(2)),
    (BlockSpec(3, "bottleneck", (0, 1)), BlockSpec(3, "bottleneck", (1, 2)), BlockSpec(4, "bottleneck", (2, 3), True)),
)
# Parents of three blocks, 1 x 3 x 6 pairs in either order, and 2^3 kinds. What no output reads is another
# architecture, yet not another network: keys, and so points, are fewer.
SPACE = ScalePermutedSpace(BASE, permutation=False, level_offsets=(), window=None)
KINDS = ScalePermutedSpace(BASE, permutation=False, connections=False, level_offsets=())


def rng(trial: int, seed: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, trial])


def all_keys(space: SearchSpace) -> set[str]:
    return {space.decode(space.sample(rng(i))).key for i in range(2000)}


def search(space: SearchSpace, seed: int, num_workers: int = 1, told_before: int = 0) -> list[str]:
    """Return the keys in the order asked; after `told_before` results a fresh controller goes on in its place."""
    controller, running, told, keys = GridSearch(space), list[Proposal](), list[Proposal](), list[str]()
    while True:
        try:
            while len(running) < num_workers:
                running.append(controller.ask(rng(len(keys), seed), [proposal.decisions for proposal in running]))
                keys.append(space.decode(running[-1].decisions).key)
        except NothingLeftError:
            if not running:
                return keys
        told.append(running.pop(0))
        controller.tell(told[-1], None if len(told) % 3 == 0 else 0.5)
        if len(told) == told_before:
            controller = GridSearch(space)
            for proposal in told:
                controller.tell(proposal, 0.5)


@pytest.mark.parametrize("space", [SPACE, KINDS], ids=["parents and kinds", "kinds"])
@pytest.mark.parametrize("num_workers", [1, 5])
def test_each_architecture_is_proposed_once(space: SearchSpace, num_workers: int) -> None:
    keys = search(space, seed=0, num_workers=num_workers)
    assert len(keys) == len(set(keys))
    assert set(keys) == all_keys(space)


def test_a_fresh_one_goes_on_where_the_stopped_one_was() -> None:
    assert search(SPACE, seed=0, num_workers=3, told_before=7) == search(SPACE, seed=0, num_workers=3)


def test_the_order_is_drawn() -> None:
    assert search(SPACE, seed=0) == search(SPACE, seed=0)
    assert search(SPACE, seed=0) != search(SPACE, seed=1)


def test_the_example_in_the_contract_is_true() -> None:
    names = {"controller": GridSearch(SPACE), "fresh": GridSearch(SPACE), "rng": rng}
    example = doctest.DocTestParser().get_doctest(Controller.__doc__ or "", names, "Controller", None, None)
    results = doctest.DocTestRunner().run(example)
    assert (results.attempted, results.failed) == (8, 0)


def test_a_large_space_is_refused_in_one_line_with_its_size() -> None:
    with pytest.raises(
        InputError, match=r"more than 10000 architectures \(its decisions have \S+e\+\d+ combinations\)"
    ):
        GridSearch(ScalePermutedSpace(resnet_seed("r0-sp53")))
    assert len(search(KINDS, seed=0)) == 8
    with pytest.raises(InputError, match="more than 7 architectures"):
        GridSearch(KINDS, max_points=7)
    GridSearch(KINDS, max_points=8)
