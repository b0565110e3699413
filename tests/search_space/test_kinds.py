import pickle
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from search_space import BlockSpec, ModelScale, ScalePermutedSpace, add_kind, kind_named, kind_names, resnet_seed
from search_space.kinds import BOTTLENECK, MBCONV, MOBILE, RESIDUAL, RESNET, BlockKind, Family, added_kinds, remove_kind
from search_space.spec import short_form

SEPARABLE = BlockKind("separable", RESNET, "s", "octagon", expansion=1, cost=2.5, unit="mine.blocks.SeparableUnit")


@pytest.fixture
def separable() -> Iterator[BlockKind]:
    add_kind(SEPARABLE)
    yield SEPARABLE
    remove_kind("separable")


def test_the_package_s_own_kinds_are_always_there() -> None:
    assert kind_names() == ("bottleneck", "residual", "mbconv")
    assert added_kinds() == ()
    assert kind_named("bottleneck") == BOTTLENECK
    # Channels at scale 1: tensorflow/tpu FILTER_SIZE_MAP, and appendix A of the paper.
    assert [RESNET.width(level) for level in (1, 2, 7)] == [32, 64, 256]
    assert [MOBILE.width(level) for level in (1, 2, 7)] == [16, 24, 112]


def test_an_unknown_kind_is_refused_with_the_known_ones_and_how_to_add_one() -> None:
    message = (
        "kind must be one of bottleneck, residual, mbconv, got 'separable'; "
        "a kind of your own is named with block_kinds.NAME=MODULE.VALUE"
    )
    for use in (lambda: kind_named("separable"), lambda: BlockSpec(3, "separable", (0, 1))):
        with pytest.raises(ValueError, match=re.escape(message)):
            use()
    with pytest.raises(ValueError, match=re.escape("got 'separable'; a kind of your own is named with block_kinds")):
        ScalePermutedSpace(resnet_seed("r0-sp53"), kinds=("bottleneck", "separable"))


@pytest.mark.usefixtures("separable")
def test_an_added_kind_is_a_word_like_any_other() -> None:
    assert kind_names()[-1] == "separable"
    assert added_kinds() == (SEPARABLE,)
    assert short_form([BlockSpec(3, "separable", (0, 1)), BlockSpec(4, "residual", (0, 1), True)]) == "3s|4r"
    assert ModelScale(width_multiplier=0.5).block_width(4, "separable") == 128
    assert ScalePermutedSpace(resnet_seed("r0-sp53"), kinds=("separable",)).size().kinds == 1


@pytest.mark.usefixtures("separable")
def test_adding_the_same_kind_again_changes_nothing() -> None:
    add_kind(replace(SEPARABLE))
    add_kind(RESIDUAL)
    assert added_kinds() == (SEPARABLE,)


@pytest.mark.usefixtures("separable")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (replace(SEPARABLE, cost=3), "kind separable: the name is taken by another kind"),
        (replace(RESIDUAL, unit="mine.Unit"), "kind residual: the name is taken by another kind"),
        (replace(SEPARABLE, name="other"), "kind other: separable has the letter 's'"),
        (replace(SEPARABLE, name="other", letter=""), "kind other: bottleneck has the letter ''"),
        (replace(MBCONV, name="other"), "kind other: bottleneck has the letter ''"),
    ],
)
def test_two_kinds_that_could_be_taken_for_each_other_are_refused(kind: BlockKind, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        add_kind(kind)
    assert added_kinds() == (SEPARABLE,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "My kind"}, "a kind's name must be small letters, digits and _, got 'My kind'"),
        ({"family": Family("vit", 2, (1,) * 7)}, "kind separable: family must be resnet or mobile, got 'vit'"),
        ({"letter": "sep"}, "kind separable: letter must be one small letter or empty, got 'sep'"),
        (
            {"outline": "star"},
            "kind separable: outline must be one of square, diamond, circle, octagon, cross, got 'star'",
        ),
        ({"expansion": 0}, "kind separable: expansion must be from 1 to 64 (a bottleneck has 4), got 0"),
        ({"expansion": 10**9}, "kind separable: expansion must be from 1 to 64"),
        ({"cost": 1e300}, "kind separable: cost must be from 0.001 to 1e+06"),
        ({"cost": float("nan")}, "kind separable: cost must be from 0.001 to 1e+06 (a bottleneck has 17), got nan"),
        ({"unit": "Unit"}, "kind separable: unit must be a path as package.module.Class, got 'Unit'"),
    ],
)
def test_values_that_no_reader_could_use_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(SEPARABLE, **changes)  # type: ignore[arg-type]  # wrong on purpose


def test_a_kind_crosses_processes() -> None:
    assert pickle.loads(pickle.dumps(SEPARABLE)) == SEPARABLE


def test_the_package_s_own_kinds_stay() -> None:
    with pytest.raises(ValueError, match="kind residual belongs to the package"):
        remove_kind("residual")
