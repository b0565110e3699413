"""The sample of architectures that proxies are compared on: published ones, good ones and their mutants, and any."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import numpy as np

from foundation import InputError
from search_space import ArchSpec, Decisions, SearchSpace, published_names
from search_space.published import load_spec

_STREAM = 11
"""Keeps these draws apart from those of a search with the same seed."""
MAX_DRAWS = 10_000
"""Draws after which a space is taken to hold no more architectures than were found."""


def draw_sample(space: SearchSpace, count: int, best: Sequence[ArchSpec], seed: int) -> tuple[Decisions, ...]:
    """Return distinct architectures of a space; the same for the same arguments.

    A third at most are published ones, as many as lie in the space; a third are the best of a run, and where that has
    too few, or there is none, mutants of good ones; the rest are uniform. A ranking is easy where good and bad are far
    apart and hard among good ones, and a search needs both.

    Args:
        space: that they are drawn from.
        count: how many.
        best: the best architectures of a run, best first; those outside the space are left out.
        seed: of the draws.

    Raises:
        InputError: the space holds fewer.
    """
    rng = np.random.default_rng([seed, _STREAM])
    third = count // 3
    published = [load_spec(name) for name in published_names()]

    chosen: dict[str, Decisions] = {}
    _add(chosen, space, _encoded(space, published), third)
    in_run = _encoded(space, best)
    good = in_run or list(chosen.values()) or [space.sample(rng)]
    _add(chosen, space, in_run, 2 * third)
    _add(chosen, space, _mutants(space, good, rng), 2 * third)
    _add(chosen, space, _uniform(space, rng), count)

    if len(chosen) < count:
        raise InputError(f"num_architectures={count}: only {len(chosen)} different ones were found in this space")
    return tuple(chosen.values())


def _add(chosen: dict[str, Decisions], space: SearchSpace, drawn: Iterable[Decisions], up_to: int) -> None:
    """Add architectures that are not chosen yet, until so many are."""
    for decisions in drawn:
        if len(chosen) >= up_to:
            return
        chosen.setdefault(space.decode(decisions).key, decisions)


def _encoded(space: SearchSpace, specs: Sequence[ArchSpec]) -> list[Decisions]:
    """Return the decisions of those that lie in the space."""
    found = []
    for spec in specs:
        with suppress(ValueError):
            found.append(space.encode(spec))
    return found


def _mutants(space: SearchSpace, good: Sequence[Decisions], rng: np.random.Generator) -> Iterator[Decisions]:
    """Yield mutants of each in turn, three changes away: one change often does not show."""
    for number in range(MAX_DRAWS):
        decisions = good[number % len(good)]
        for _ in range(3):
            decisions = space.mutate(decisions, rng)
        yield decisions


def _uniform(space: SearchSpace, rng: np.random.Generator) -> Iterator[Decisions]:
    for _ in range(MAX_DRAWS):
        yield space.sample(rng)
