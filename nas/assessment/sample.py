"""The sample of architectures that proxies are compared on: published ones, good ones and their mutants, and any."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Literal, TypeAlias, assert_never

import numpy as np

from foundation import InputError
from search_space import Candidate, Decisions, SearchSpace, published_names
from search_space.published import find_spec

SampleName: TypeAlias = Literal["mixed", "relatives"]

_STREAM = 11
"""Keeps these draws apart from those of a search with the same seed."""
MAX_DRAWS = 10_000
"""Draws after which a space is taken to hold no more architectures than were found."""


def draw_sample(
    space: SearchSpace, count: int, best: Sequence[Candidate], seed: int, name: SampleName = "mixed"
) -> tuple[Decisions, ...]:
    """Return distinct architectures of a space; the same for the same arguments.

    Mixed: a third at most are published ones, as many as lie in the space; a third are the best of a run, and where
    that has too few, or there is none, mutants of good ones; the rest are uniform. A ranking is easy where good and bad
    are far apart and hard among good ones, and a search needs both.

    Relatives: the best of a run, or a published one where there is none, and mutants of it, one change away. They are
    what a search compares at its end.

    Args:
        space: that they are drawn from.
        count: how many.
        best: the best architectures of a run, best first; those outside the space are left out.
        seed: of the draws.
        name: mixed or relatives.

    Raises:
        InputError: the space holds fewer.
    """
    rng = np.random.default_rng([seed, _STREAM])
    published = _encoded(space, [find_spec(published).candidate for published in published_names()])
    in_run = _encoded(space, best)

    chosen: dict[str, Decisions] = {}
    match name:
        case "mixed":
            third = count // 3
            _add(chosen, space, published, third)
            good = in_run or list(chosen.values()) or [space.sample(rng)]
            _add(chosen, space, in_run, 2 * third)
            # One change often does not show.
            _add(chosen, space, _mutants(space, good, 3, rng), 2 * third)
            _add(chosen, space, _uniform(space, rng), count)
        case "relatives":
            parent = [*in_run, *published, space.sample(rng)][0]
            _add(chosen, space, [parent], count)
            _add(chosen, space, _mutants(space, [parent], 1, rng), count)
        case _:
            assert_never(name)

    if len(chosen) < count:
        raise InputError(f"num_architectures={count}: only {len(chosen)} different ones were found in this space")
    return tuple(chosen.values())


def _add(chosen: dict[str, Decisions], space: SearchSpace, drawn: Iterable[Decisions], up_to: int) -> None:
    """Add architectures that are not chosen yet, until so many are."""
    for decisions in drawn:
        if len(chosen) >= up_to:
            return
        chosen.setdefault(space.decode(decisions).key, decisions)


def _encoded(space: SearchSpace, candidates: Sequence[Candidate]) -> list[Decisions]:
    """Return the decisions of those that lie in the space."""
    found = []
    for candidate in candidates:
        with suppress(ValueError):
            found.append(space.encode(candidate))
    return found


def _mutants(
    space: SearchSpace, good: Sequence[Decisions], num_changes: int, rng: np.random.Generator
) -> Iterator[Decisions]:
    """Yield mutants of each in turn, so many changes away."""
    for number in range(MAX_DRAWS):
        decisions = good[number % len(good)]
        for _ in range(num_changes):
            decisions = space.mutate(decisions, rng)
        yield decisions


def _uniform(space: SearchSpace, rng: np.random.Generator) -> Iterator[Decisions]:
    for _ in range(MAX_DRAWS):
        yield space.sample(rng)
