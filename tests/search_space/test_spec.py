import re

import pytest

from nas.drawing import architecture_svg
from search_space import ArchSpec, BlockSpec, ModelScale, StemBlock, published_spec
from search_space.spec import LiveBlock, live_blocks, short_form

STEM = (StemBlock(2), StemBlock(2))


def spec(*blocks: BlockSpec) -> ArchSpec:
    return ArchSpec(STEM, blocks)


def leftovers(arch: ArchSpec) -> dict[int, tuple[int, ...]]:
    return {block.feature: block.leftovers for block in live_blocks(arch) if block.leftovers}


@pytest.mark.parametrize(
    ("level", "kind", "parents", "message"),
    [
        (0, "bottleneck", (0, 1), "level must be 1 to 7, got 0"),
        (8, "bottleneck", (0, 1), "level must be 1 to 7, got 8"),
        (3, "conv", (0, 1), "kind must be one of bottleneck, residual, mbconv, got 'conv'"),
        (3, "residual", (), "parents must be one or more different features, got []"),
        (3, "residual", (1, 1), "parents must be one or more different features, got [1, 1]"),
    ],
)
def test_impossible_block_is_refused(level: int, kind: str, parents: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        BlockSpec(level, kind, parents)


def test_parents_have_no_order() -> None:
    assert BlockSpec(3, "bottleneck", (1, 0)) == BlockSpec(3, "bottleneck", (0, 1))


def test_parent_after_its_child_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("block 0: parents must be features 0 to 1, which come before the")):
        spec(BlockSpec(3, "bottleneck", (0, 2), is_output=True))


def test_spec_without_output_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one block must be an output"):
        spec(BlockSpec(3, "bottleneck", (0, 1)))


def test_two_outputs_of_one_level_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("each output needs a level of its own, got [3, 3]")):
        spec(BlockSpec(3, "bottleneck", (0, 1), True), BlockSpec(3, "bottleneck", (0, 2), True))


@pytest.mark.parametrize("levels", [(2,), (3, 2), (1, 2)])
def test_stem_that_does_not_rise_is_refused(levels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"levels rising from 2, got {list(levels)}")):
        ArchSpec(tuple(StemBlock(level) for level in levels), (BlockSpec(3, "bottleneck", (0, 1), True),))


def test_published_leftovers_are_those_of_the_paper() -> None:
    # Figure 4 of the paper draws a third arrow into these outputs.
    assert leftovers(published_spec("spinenet-49")) == {14: (11,)}
    assert leftovers(published_spec("r0-sp53")) == {13: (11,)}
    assert leftovers(published_spec("r23-sp30")) == {}


def test_leftover_of_another_kind_is_dropped_with_all_that_leads_only_to_it() -> None:
    arch = spec(
        BlockSpec(3, "bottleneck", (0, 1)),
        BlockSpec(4, "residual", (0, 2)),
        BlockSpec(4, "bottleneck", (0, 1), True),
    )
    assert live_blocks(arch) == (LiveBlock(4, (0, 1), (), True),)


def test_block_used_by_a_later_output_only_is_still_a_leftover_of_an_earlier_one() -> None:
    arch = spec(
        BlockSpec(4, "bottleneck", (0, 1)),
        BlockSpec(4, "bottleneck", (0, 1), True),
        BlockSpec(5, "bottleneck", (0, 2), True),
    )
    assert leftovers(arch) == {3: (2,)}


def test_parent_of_the_output_itself_is_no_leftover() -> None:
    arch = spec(BlockSpec(4, "bottleneck", (0, 1)), BlockSpec(4, "bottleneck", (0, 2), True))
    assert leftovers(arch) == {}


def test_key_ignores_blocks_that_reach_no_output() -> None:
    output = BlockSpec(4, "bottleneck", (0, 1), True)
    dead = BlockSpec(3, "residual", (0, 1))
    other_dead = BlockSpec(5, "residual", (0, 1))
    assert spec(dead, output).key == spec(other_dead, output).key == spec(output).key


@pytest.mark.parametrize(
    "other",
    [
        BlockSpec(3, "residual", (0, 1), True),
        BlockSpec(4, "bottleneck", (0, 1), True),
        BlockSpec(3, "bottleneck", (1, 0), False),
    ],
)
def test_key_tells_levels_kinds_and_outputs_apart(other: BlockSpec) -> None:
    last = BlockSpec(6, "bottleneck", (0, 2), True)
    assert spec(other, last).key != spec(BlockSpec(3, "bottleneck", (0, 1), True), last).key


def test_a_block_that_reaches_no_output_shifts_no_parent_in_the_key() -> None:
    first, unused = BlockSpec(3, "bottleneck", (0, 1)), BlockSpec(7, "residual", (0, 1))
    fourth, fifth = BlockSpec(4, "bottleneck", (0, 2), True), BlockSpec(5, "bottleneck", (2, 3), True)
    shifted_fifth = BlockSpec(5, "bottleneck", (2, 4), True)
    assert spec(first, unused, fourth, shifted_fifth).key == spec(first, fourth, fifth).key


def test_key_tells_parents_apart() -> None:
    first = BlockSpec(3, "bottleneck", (0, 1))
    keys = {spec(first, BlockSpec(4, "bottleneck", p, True)).key for p in ((0, 1), (0, 2), (1, 2))}
    assert len(keys) == 3


def test_key_does_not_change_between_versions() -> None:
    # Journals and exported files hold keys: this one was computed when the format was fixed.
    assert published_spec("spinenet-49").key == "82264a797d252ebb"


def test_mobile_blocks_stand_among_their_own_kind() -> None:
    mobile = published_spec("spinenet-mobile-49")
    with pytest.raises(
        ValueError, match=r"bottleneck and mbconv blocks cannot be mixed, stem included: .* resnet and mobile"
    ):
        ArchSpec((StemBlock(2), StemBlock(2)), (BlockSpec(3, "mbconv", (0, 1), True),))
    with pytest.raises(ValueError, match="mbconv and residual blocks cannot be mixed, stem included"):
        ArchSpec(mobile.stem, (BlockSpec(3, "residual", (0, 1), True),))
    with pytest.raises(ValueError, match="levels rising from 2, got"):
        ArchSpec((StemBlock(1), StemBlock(2)), (BlockSpec(3, "residual", (0, 1), True),))
    assert ModelScale(width_multiplier=0.65).block_width(4, "mbconv") == 52


def test_a_spec_of_hundreds_of_blocks_or_of_dozens_of_parents_is_refused() -> None:
    many = (BlockSpec(3, "bottleneck", (0, 1)),) * 256
    with pytest.raises(ValueError, match=r"at most 256 each \(SpineNet-49 has 15 blocks\), got 2 and 257"):
        spec(*many, BlockSpec(4, "bottleneck", (0, 1), True))
    with pytest.raises(ValueError, match=r"parents must be at most 32 \(each is resampled; the paper has 2\), got 33"):
        BlockSpec(3, "bottleneck", tuple(range(33)))


def test_short_form_names_levels_residuals_and_outputs() -> None:
    assert short_form(published_spec("spinenet-49").blocks) == "2 4r 3 4 6r 4 5r 7r 5 5|4 3 5 7 6"


def test_a_spec_is_told_in_a_line_and_draws_itself() -> None:
    arch = published_spec("spinenet-49")
    assert repr(arch) == f"<ArchSpec {arch.key[:6]}: {short_form(arch.blocks)}>"
    assert arch._repr_svg_() == architecture_svg(arch)

    # However long it is.
    many = spec(*(BlockSpec(3, "residual", (0, 1), is_output=i == 199) for i in range(200)))
    assert len(repr(many)) < 120
