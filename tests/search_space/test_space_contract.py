"""What every search space must hold; a new space joins by one line."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds_space import KindsOnly

from search_space import (
    ArchSpec,
    Decision,
    Decisions,
    ModelScale,
    ScalePermutedSpace,
    ScalingSpace,
    SearchSpace,
    mobile_seed,
    published_spec,
    resnet_seed,
)
from search_space.spec import live_blocks, short_form

SPACES: dict[str, SearchSpace] = {
    "spinenet": ScalePermutedSpace(resnet_seed("r0-sp53")),
    "no window": ScalePermutedSpace(resnet_seed("r0-sp53"), window=None),
    "order and connections": ScalePermutedSpace(resnet_seed("r14-sp39"), level_offsets=(), kinds=()),
    "order only": ScalePermutedSpace(published_spec("r0-sp53"), connections=False, level_offsets=(), kinds=()),
    "connections only": ScalePermutedSpace(
        published_spec("spinenet-49"), permutation=False, level_offsets=(), kinds=()
    ),
    "levels only": ScalePermutedSpace(published_spec("r23-sp30"), permutation=False, connections=False, kinds=()),
    "kinds only": ScalePermutedSpace(
        published_spec("spinenet-49"), permutation=False, connections=False, level_offsets=(0,)
    ),
    "seven stem blocks": ScalePermutedSpace(resnet_seed("r23-sp30")),
    "one intermediate": ScalePermutedSpace(resnet_seed("r35-sp18")),
    "mobile": ScalePermutedSpace(published_spec("spinenet-mobile-49"), level_offsets=(), kinds=("mbconv",)),
    "mobile seed": ScalePermutedSpace(mobile_seed(), kinds=(), window=4),
    "vertex": ScalePermutedSpace(resnet_seed("vertex-spinenet"), window=4),
    "resolution paths": ScalePermutedSpace(resnet_seed("r0-sp53"), resolution_paths=True),
    "resolution paths, no window": ScalePermutedSpace(resnet_seed("r14-sp39"), window=None, resolution_paths=True),
    "resolution paths, connections only": ScalePermutedSpace(
        published_spec("spinenet-49"), permutation=False, level_offsets=(), kinds=(), resolution_paths=True
    ),
    "resolution paths, levels only": ScalePermutedSpace(
        published_spec("r0-sp53"), permutation=False, connections=False, kinds=(), resolution_paths=True
    ),
    "of the examples": KindsOnly(),
    "one offset": ScalePermutedSpace(resnet_seed("r14-sp39"), level_offsets=(1,), kinds=("residual",)),
    "scales": ScalingSpace(published_spec("spinenet-49"), ModelScale(), (512, 640), width_multiplier=(0.8, 1, 1.2)),
    "topology and scale": ScalingSpace(
        ScalePermutedSpace(resnet_seed("r0-sp53")), ModelScale(), block_repeats=(1, 2), head_width=(64, 256)
    ),
}

every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
seeds = st.integers(0, 2**32 - 1)


def draw_through_legal(space: SearchSpace, rng: np.random.Generator) -> Decisions:
    decisions: list[int] = []
    for decision in space.decisions:
        options = space.legal(decisions)
        assert options, decision
        assert list(options) == sorted(set(options))
        assert options[-1] < decision.num_options
        decisions.append(options[rng.integers(len(options))])
    return tuple(decisions)


def assert_is_buildable(spec: ArchSpec) -> None:
    assert {block.feature for block in live_blocks(spec) if block.is_output} == {
        i + 2 for i, block in enumerate(spec.blocks) if block.is_output
    }


@every_space
@given(seed=seeds)
@settings(max_examples=50)
def test_every_vector_of_legal_options_decodes(space: SearchSpace, seed: int) -> None:
    assert_is_buildable(space.decode(draw_through_legal(space, np.random.default_rng(seed))).spec)


@every_space
@given(seed=seeds)
@settings(max_examples=50)
def test_decoding_what_was_encoded_gives_the_candidate_back(space: SearchSpace, seed: int) -> None:
    candidate = space.decode(draw_through_legal(space, np.random.default_rng(seed)))
    assert space.decode(space.encode(candidate)) == candidate


@every_space
@given(seed=seeds)
@settings(max_examples=50)
def test_samples_are_legal_and_repeat_with_the_seed(space: SearchSpace, seed: int) -> None:
    decisions = space.sample(np.random.default_rng(seed))
    assert decisions == space.sample(np.random.default_rng(seed))
    assert all(type(option) is int for option in decisions)
    space.decode(decisions)


@every_space
@given(seed=seeds)
@settings(max_examples=50)
def test_mutants_are_legal_other_candidates(space: SearchSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    decisions = draw_through_legal(space, rng)
    mutant = space.mutate(decisions, rng)
    assert all(type(option) is int for option in mutant)
    assert space.decode(mutant) != space.decode(decisions)


@every_space
@given(seed=seeds)
@settings(max_examples=25)
def test_features_are_a_function_of_what_is_built_and_have_names(space: SearchSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    decisions = draw_through_legal(space, rng)
    found = space.features(decisions)
    assert len(found) == len(space.feature_names) == len(set(space.feature_names))
    assert all(type(value) is float and np.isfinite(value) for value in found)

    # Blocks that reach no output come and go in a walk of mutations.
    by_key = {space.decode(decisions).key: found}
    for _ in range(10):
        decisions = space.mutate(decisions, rng)
        again = space.features(decisions)
        assert by_key.setdefault(space.decode(decisions).key, again) == again
    # And they tell architectures apart.
    assert len(set(by_key.values())) == len(by_key)


@every_space
def test_features_of_illegal_vectors_are_refused(space: SearchSpace) -> None:
    decisions = space.sample(np.random.default_rng(0))
    with pytest.raises(ValueError, match="legal options are"):
        space.features((*decisions[:-1], space.decisions[-1].num_options))


@every_space
def test_illegal_vectors_are_refused(space: SearchSpace) -> None:
    decisions = space.sample(np.random.default_rng(0))
    with pytest.raises(ValueError, match=f"the space has {len(decisions)} decisions, got {len(decisions) - 1}"):
        space.decode(decisions[:-1])
    with pytest.raises(ValueError, match="legal options are"):
        space.decode((*decisions[:-1], space.decisions[-1].num_options))
    with pytest.raises(ValueError, match="legal options are"):
        space.decode((*decisions[:-1], -1))
    with pytest.raises(ValueError, match="decisions, the prefix already"):
        space.legal(decisions)


@every_space
def test_decisions_have_names_of_their_own(space: SearchSpace) -> None:
    names = [decision.name for decision in space.decisions]
    assert len(set(names)) == len(names)


def test_the_example_in_the_contract_is_true() -> None:
    names = {"space": SPACES["spinenet"], "rng": np.random.default_rng(0), "short_form": short_form}
    (example,) = doctest.DocTestFinder(recurse=False).find(SearchSpace, globs=names)
    assert len(example.examples) == 7
    assert doctest.DocTestRunner().run(example).failed == 0


def test_options_that_are_no_words_are_refused_before_they_are_on_record() -> None:
    with pytest.raises(ValueError, match=r"decision stage1\.width: options must be words, got 0"):
        Decision("stage1.width", (0, 1, 2))  # type: ignore[arg-type]  # what somebody else's space may do
