import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from search_space import ArchSpec, BlockSpec, Candidate, ScalePermutedSpace, StemBlock, published_spec, resnet_seed
from search_space.resolution import has_resolution_paths, levels_above

SPINENET = ScalePermutedSpace(resnet_seed("r0-sp53"))


def test_sizes_of_the_sub_spaces_are_those_of_the_paper() -> None:
    # Section 3 of the paper: 10! * 5! labelled orders, 5040 * 120 different ones, 4^10 levels, 2^15 kinds.
    size = SPINENET.size()
    assert size.labelled_orders == 435_456_000
    assert size.orders == 5040 * 120
    assert size.levels == 4**10 == 1_048_576
    assert size.kinds == 2**15 == 32_768
    assert math.log10(size.total) == pytest.approx(37.2, abs=0.05)
    assert math.log10(size.labelled_orders * size.connections) == pytest.approx(26.7, abs=0.05)


def test_sizes_without_window_are_those_of_the_paper() -> None:
    size = ScalePermutedSpace(resnet_seed("r0-sp53"), window=None).size()
    assert size.connections == math.prod(math.comb(i, 2) for i in range(2, 17))
    assert size.connections == pytest.approx(8.35e20, rel=0.001)
    assert math.log10(size.total) == pytest.approx(40.1, abs=0.05)


def test_parts_that_are_not_searched_have_no_decisions_and_size_one() -> None:
    space = ScalePermutedSpace(published_spec("spinenet-49"), permutation=False, level_offsets=(), kinds=())
    assert {decision.name.split(".")[1] for decision in space.decisions} == {"parent0", "parent1"}
    size = space.size()
    assert (size.labelled_orders, size.orders, size.levels, size.kinds) == (1, 1, 1, 1)
    assert size.total == size.connections == SPINENET.size().connections


def test_spinenet_49_is_a_point_of_its_space() -> None:
    spec = published_spec("spinenet-49")
    assert SPINENET.decode(SPINENET.encode(Candidate(spec))).spec == spec


@pytest.mark.parametrize(("name", "window"), [("r0-sp53", 5), ("r23-sp30", 5)])
def test_found_networks_are_points_of_their_spaces(name: str, window: int) -> None:
    spec = published_spec(name)
    space = ScalePermutedSpace(resnet_seed(name), level_offsets=(), kinds=(), window=window)
    assert space.decode(space.encode(Candidate(spec))).spec == spec


def test_r0_sp53_needs_a_window_of_five() -> None:
    space = ScalePermutedSpace(resnet_seed("r0-sp53"), window=4)
    with pytest.raises(
        ValueError, match=re.escape("block 7: needs 2 parents among the 4 features before it, got [4, 8]")
    ):
        space.encode(Candidate(published_spec("r0-sp53")))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (published_spec("r23-sp30"), "the spec's stem is not the space's"),
        (resnet_seed("r14-sp39"), "the spec's stem is not the space's"),
        (
            ArchSpec((StemBlock(2), StemBlock(2)), (BlockSpec(3, "bottleneck", (0, 1), True),)),
            "the space has 10 intermediate blocks and then 5 outputs, the spec has another layout",
        ),
    ],
)
def test_specs_outside_the_space_are_refused(spec: ArchSpec, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        SPINENET.encode(Candidate(spec))


def test_levels_that_the_budget_cannot_make_are_refused() -> None:
    spec = published_spec("spinenet-49")
    space = ScalePermutedSpace(resnet_seed("r0-sp53"), level_offsets=())
    with pytest.raises(
        ValueError, match=r"cannot come from \{2: 1, 3: 3, 4: 5, 5: 1\} \(level: count\) by offsets \[0\]"
    ):
        space.encode(Candidate(spec))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 1}, "window must be 2 or more, got 1"),
        ({"level_offsets": (-2,)}, "level_offsets [-2] lead to level 0, outside 1-7"),
        ({"level_offsets": (0, 3)}, "level_offsets [0, 3] lead to level 8, outside 1-7"),
        (
            {"kinds": ("conv",)},
            "kinds must be among bottleneck, residual, as the base's blocks are ([] keeps them), got 'conv'",
        ),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ScalePermutedSpace(resnet_seed("r0-sp53"), **options)  # type: ignore[arg-type]  # wrong on purpose


def small_space() -> ScalePermutedSpace:
    """Two intermediates of levels 2 and 3 and one output; small enough to list every spec."""
    base = ArchSpec(
        (StemBlock(2), StemBlock(2)),
        (
            BlockSpec(2, "bottleneck", (0, 1)),
            BlockSpec(3, "bottleneck", (0, 1)),
            BlockSpec(4, "bottleneck", (0, 1), True),
        ),
    )
    return ScalePermutedSpace(base, level_offsets=(0, 1), kinds=("bottleneck",))


def test_every_spec_of_a_small_space_is_equally_likely() -> None:
    space, rng = small_space(), np.random.default_rng(0)
    counts = Counter(space.decode(space.sample(rng)).spec for _ in range(20_000))
    # By hand: levels (2,3) (3,2) (2,4) (4,2) (3,3) (3,4) (4,3); parents 1 * 3 * 6 ways. Level (3,3) comes from two
    # vectors of decisions, so sampling decisions uniformly would give it twice as often.
    assert len(counts) == 7 * 18
    expected = 20_000 / len(counts)
    chi_square = sum((n - expected) ** 2 / expected for n in counts.values())
    # 125 degrees of freedom: above 190 with probability 0.0002.
    assert chi_square < 190


def two_outputs(**options: Any) -> ScalePermutedSpace:  # noqa: ANN401  # options of a space
    """Two intermediates, of levels 3 and 4 or one above, and outputs of levels 3 and 4; small enough to list."""
    base = ArchSpec(
        (StemBlock(2), StemBlock(2)),
        (
            BlockSpec(3, "bottleneck", (0, 1)),
            BlockSpec(4, "bottleneck", (1, 2)),
            BlockSpec(3, "bottleneck", (2, 3), True),
            BlockSpec(4, "bottleneck", (3, 4), True),
        ),
    )
    return ScalePermutedSpace(base, **{"level_offsets": (0, 1), "kinds": (), "window": 2, **options})


def vectors_through_legal(space: ScalePermutedSpace, prefix: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    if len(prefix) == len(space.decisions):
        yield prefix
        return
    for option in space.legal(prefix):
        yield from vectors_through_legal(space, (*prefix, option))


@pytest.mark.parametrize(
    "options",
    [{"level_offsets": ()}, {"permutation": False}, {"permutation": False, "connections": False}],
    ids=["order and connections", "connections and levels", "levels"],
)
def test_legal_options_lead_to_all_architectures_with_resolution_paths_and_to_no_other(options: dict[str, Any]) -> None:
    everything, space = two_outputs(**options), two_outputs(**options, resolution_paths=True)
    vectors = set(vectors_through_legal(everything))
    kept = {vector for vector in vectors if has_resolution_paths(everything.decode(vector).spec)}
    found = list(vectors_through_legal(space))
    assert len(found) == len(set(found))
    assert set(found) == kept
    assert 0 < len(kept) < len(vectors)


def test_every_architecture_with_resolution_paths_is_equally_likely() -> None:
    space, rng = two_outputs(permutation=False, resolution_paths=True), np.random.default_rng(0)
    specs = {space.decode(vector).spec for vector in vectors_through_legal(space)}
    counts = Counter(space.decode(space.sample(rng)).spec for _ in range(8_000))
    assert counts.keys() == specs
    expected = 8_000 / len(specs)
    chi_square = sum((n - expected) ** 2 / expected for n in counts.values())
    # Its standard deviation is the root of twice the degrees of freedom: above by four of these about never.
    assert chi_square < len(specs) + 4 * math.sqrt(2 * len(specs))


def test_mutations_keep_resolution_paths_and_all_four_happen() -> None:
    space, rng = ScalePermutedSpace(resnet_seed("r0-sp53"), resolution_paths=True), np.random.default_rng(0)
    changes = Counter[str]()
    for _ in range(400):
        decisions = space.sample(rng)
        before, after = space.decode(decisions).spec, space.decode(space.mutate(decisions, rng)).spec
        assert has_resolution_paths(before)
        assert has_resolution_paths(after)
        changes[change_between(before, after)] += 1
    # As without the rule: 100 of each, standard deviation 9.
    assert min(changes[change] for change in ("swap", "rewire", "level", "kind")) > 60


def test_an_architecture_without_a_resolution_path_is_refused_with_the_output_that_lacks_it() -> None:
    seed, spec = resnet_seed("r23-sp30"), published_spec("r23-sp30")
    everything = ScalePermutedSpace(seed, level_offsets=(), kinds=())
    kept = ScalePermutedSpace(seed, level_offsets=(), kinds=(), resolution_paths=True)
    assert levels_above(spec) == {3: 1, 4: 0, 5: 0, 6: 0, 7: 0}
    message = "every path from the stem to the output of level 3 leads through a block that is coarser"
    with pytest.raises(ValueError, match=message):
        kept.encode(Candidate(spec))
    with pytest.raises(ValueError, match=r"block\d+\.parent1: legal options are .*, got \d+"):
        kept.decode(everything.encode(Candidate(spec)))


def test_spaces_that_cannot_have_the_rule_are_refused() -> None:
    with pytest.raises(ValueError, match="resolution_paths=true needs connections=true where permutation=true"):
        two_outputs(connections=False, resolution_paths=True)
    with pytest.raises(ValueError, match="resolution_paths=true leaves nothing of this space"):
        ScalePermutedSpace(
            published_spec("r23-sp30"),
            permutation=False,
            connections=False,
            level_offsets=(0, 1),
            kinds=(),
            resolution_paths=True,
        )


def test_proposals_are_those_of_earlier_versions() -> None:
    # Drawn by version 0.1: journals replay to the same proposals.
    rng = np.random.default_rng(7)
    decisions = SPINENET.sample(rng)
    for _ in range(300):
        decisions = SPINENET.mutate(decisions, rng)
    assert SPINENET.decode(decisions).key == "e43443a7ad7ddd3e"


def test_samples_cover_every_level_and_kind() -> None:
    rng = np.random.default_rng(0)
    specs = [SPINENET.decode(SPINENET.sample(rng)).spec for _ in range(300)]
    assert {block.level for spec in specs for block in spec.blocks[:10]} == set(range(1, 8))
    assert {block.kind for spec in specs for block in spec.blocks} == {"bottleneck", "residual"}
    assert len({spec.output_levels for spec in specs}) > 60


def change_between(before: ArchSpec, after: ArchSpec) -> str:
    """Name the one change between two specs, or fail."""
    different = [i for i, (a, b) in enumerate(zip(before.blocks, after.blocks, strict=True)) if a != b]
    old, new = [before.blocks[i] for i in different], [after.blocks[i] for i in different]
    if len(different) == 2:
        assert [(b.level, b.kind) for b in new] == [(b.level, b.kind) for b in reversed(old)]
        assert [b.parents for b in new] == [b.parents for b in old]
        return "swap"
    assert len(different) == 1
    a, b = old[0], new[0]
    if a.parents != b.parents:
        assert (a.level, a.kind) == (b.level, b.kind)
        assert len(set(a.parents) & set(b.parents)) == 1
        return "rewire"
    if a.level != b.level:
        assert a.kind == b.kind
        return "level"
    return "kind"


def test_a_mutation_is_one_nameable_change_and_all_four_happen() -> None:
    rng = np.random.default_rng(0)
    changes = Counter[str]()
    for _ in range(400):
        decisions = SPINENET.sample(rng)
        changes[
            change_between(SPINENET.decode(decisions).spec, SPINENET.decode(SPINENET.mutate(decisions, rng)).spec)
        ] += 1
    # Each has a quarter of the chances: 100 of 400, standard deviation 9.
    assert set(changes) == {"swap", "rewire", "level", "kind"}
    assert min(changes.values()) > 60


def test_a_space_of_one_architecture_cannot_mutate() -> None:
    space = ScalePermutedSpace(
        published_spec("spinenet-49"), permutation=False, connections=False, level_offsets=(), kinds=()
    )
    assert space.decode(()).spec == published_spec("spinenet-49")
    with pytest.raises(ValueError, match="there is nothing to mutate"):
        space.mutate((), np.random.default_rng(0))
