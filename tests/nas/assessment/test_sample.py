"""The sample of architectures: the same each time, of three sorts, each once."""

from collections.abc import Sequence

import numpy as np
import pytest

from foundation import InputError
from nas.assessment.sample import draw_sample
from nas.options.command_line import compose
from nas.setup import build_setup
from search_space import Candidate, Decisions, published_spec
from tests.nas.reporting.reported_runs import SPACE


def test_a_sample_is_a_third_published_a_third_of_the_best_and_the_rest_drawn() -> None:
    rng = np.random.default_rng(5)
    best = [SPACE.decode(SPACE.sample(rng)) for _ in range(9)]
    sample = draw_sample(SPACE, 12, best, seed=0)
    assert sample == draw_sample(SPACE, 12, best, seed=0)
    assert sample != draw_sample(SPACE, 12, best, seed=1)

    keys = [SPACE.decode(decisions).key for decisions in sample]
    assert len(set(keys)) == 12
    num_published = keys.index(best[0].key)
    published = {published_spec(name).key for name in ("spinenet-49", "r0-sp53")}
    assert set(keys[:num_published]) == {key for key in published if key in keys}
    assert 1 <= num_published <= 4
    assert keys[num_published:8] == [spec.key for spec in best[: 8 - num_published]]


def test_without_a_run_mutants_of_published_ones_take_its_place() -> None:
    sample = [SPACE.decode(decisions).spec for decisions in draw_sample(SPACE, 30, [], seed=0)]
    assert len({spec.key for spec in sample}) == 30


def test_relatives_are_the_best_of_the_run_and_what_one_change_makes_of_it() -> None:
    rng = np.random.default_rng(5)
    best = [SPACE.decode(SPACE.sample(rng)) for _ in range(2)]
    sample = draw_sample(SPACE, 10, best, 0, "relatives")
    assert SPACE.decode(sample[0]) == best[0]
    assert len({SPACE.decode(decisions).key for decisions in sample}) == 10

    # A drawn architecture differs from it in most decisions.
    num_changed = [sum(np.not_equal(sample[0], decisions)) for decisions in sample[1:]]
    assert max(num_changed) < 10
    assert min(sum(np.not_equal(sample[0], SPACE.sample(rng))) for _ in range(20)) > 10


def test_relatives_without_a_run_are_those_of_a_published_one() -> None:
    parent = SPACE.decode(draw_sample(SPACE, 3, [], 0, "relatives")[0]).spec
    assert parent.key in {published_spec(name).key for name in ("spinenet-49", "r0-sp53")}


class TwoOfThem:
    """A space of two architectures."""

    decisions = SPACE.decisions

    def legal(self, prefix: Sequence[int]) -> tuple[int, ...]:
        return SPACE.legal(prefix)

    def sample(self, rng: np.random.Generator) -> Decisions:
        return SPACE.sample(np.random.default_rng(rng.integers(2)))

    def mutate(self, decisions: Decisions, rng: np.random.Generator) -> Decisions:
        return self.sample(rng)

    def decode(self, decisions: Decisions) -> Candidate:
        return SPACE.decode(decisions)

    def encode(self, candidate: Candidate) -> Decisions:
        raise ValueError("not one of the two")

    feature_names = SPACE.feature_names

    def features(self, decisions: Decisions) -> tuple[float, ...]:
        return SPACE.features(decisions)


def test_a_space_that_holds_too_few_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.assessment.sample.MAX_DRAWS", 100)
    with pytest.raises(InputError, match="num_architectures=9: only 2 different ones were found in this space"):
        draw_sample(TwoOfThem(), 9, [], seed=0)


@pytest.mark.parametrize("space", ["spinenet", "scale_permuted", "around_spec"])
def test_a_sample_is_of_the_space_whichever_that_is(space: str) -> None:
    found = build_setup(compose("config", [f"space={space}", "task=landscape"])).space
    assert len({found.decode(decisions).key for decisions in draw_sample(found, 9, [], seed=0)}) == 9
