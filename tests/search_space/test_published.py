from collections import Counter
from pathlib import Path

import pytest

from foundation import InputError
from search_space import (
    PUBLISHED_SCALES,
    ModelScale,
    SpecFile,
    load_spec,
    mobile_seed,
    published_names,
    published_scale,
    published_spec,
    resnet_seed,
    write_spec,
)
from search_space.kinds import MOBILE, RESNET
from search_space.seeds import BUDGETS


def levels(name: str) -> Counter[int]:
    return Counter(block.level for block in published_spec(name).blocks)


def test_all_published_specs_load() -> None:
    assert published_names() == (
        "r0-sp53",
        "r23-sp30",
        "spinenet-143",
        "spinenet-143l",
        "spinenet-190",
        "spinenet-49",
        "spinenet-49s",
        "spinenet-96",
        "spinenet-mobile-49",
        "spinenet-mobile-49s",
        "spinenet-mobile-49xs",
    )
    for name in published_names():
        assert published_spec(name).family == (MOBILE if "mobile" in name else RESNET)


def test_a_family_is_one_spec_at_several_scales() -> None:
    assert {published_spec(name).key for name in PUBLISHED_SCALES} == {
        published_spec("spinenet-49").key,
        published_spec("spinenet-mobile-49").key,
    }
    assert published_scale("spinenet-190") == PUBLISHED_SCALES["spinenet-190"]
    assert published_scale("r0-sp53") == published_scale("spinenet-49") == ModelScale()


def test_mobile_is_spinenet_49_one_feature_later() -> None:
    # The second level-2 stem block of SpineNet-49 is the mobile network's first block; all else follows in order.
    mobile, dense = published_spec("spinenet-mobile-49"), published_spec("spinenet-49")
    assert [block.level for block in mobile.stem] == [1, 2]
    assert [block.level for block in mobile.blocks[1:]] == [block.level for block in dense.blocks]
    for later, block in zip(mobile.blocks[1:], dense.blocks, strict=True):
        assert later.parents == tuple(parent + 1 for parent in block.parents)


def test_block_counts_are_those_of_table_1() -> None:
    # Table 1 of the paper, scale-permuted part {L2, L3, L4, L5, L6, L7}.
    assert levels("r0-sp53") == {2: 1, 3: 4, 4: 6, 5: 2, 6: 1, 7: 1}
    assert levels("r23-sp30") == {2: 1, 3: 2, 4: 4, 5: 1, 6: 1, 7: 1}
    assert levels("spinenet-49") == {2: 1, 3: 2, 4: 4, 5: 4, 6: 2, 7: 2}


@pytest.mark.parametrize("name", [name for name in BUDGETS if name != "vertex-spinenet"])
def test_layers_of_a_seed_are_those_in_its_name(name: str) -> None:
    # R[N]-SP[M]: N layers in the stem, M in the rest, three for each bottleneck and two outside; 53 in all.
    spec = resnet_seed(name)
    stem_layers, permuted_layers = (int(part.lstrip("rsp")) for part in name.split("-"))
    has_stem = stem_layers > 0
    assert 3 * len(spec.stem) + 2 == (stem_layers if has_stem else 8)
    assert 3 * len(spec.blocks) + (0 if has_stem else 8) == permuted_layers


def test_seeds_of_vertex_have_its_counts_of_blocks() -> None:
    # google/vertex-ai-nas, tunable_spinenet_search_space.py: intermediates by level; outputs 3 to 7 come on top.
    outputs = Counter(range(3, 8))
    assert Counter(block.level for block in resnet_seed("vertex-spinenet").blocks) - outputs == {2: 1, 3: 3, 4: 5, 5: 2}
    mobile = mobile_seed()
    assert Counter(block.level for block in mobile.blocks) - outputs == {2: 1, 3: 1, 4: 5, 5: 4}
    assert mobile.stem == published_spec("spinenet-mobile-49").stem
    assert mobile.family == MOBILE


def test_a_spec_is_loaded_by_name_or_by_path(tmp_path: Path) -> None:
    spec = published_spec("r0-sp53")
    assert load_spec("r0-sp53") == spec
    path = tmp_path / "mine.json"
    write_spec(path, SpecFile(schema_version=1, name="mine", spec=spec))
    assert load_spec(str(path)) == spec
    with pytest.raises(InputError, match=r"cannot read spec absent\.json"):
        load_spec("absent.json")


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown published spec 'spinet'; known are r0-sp53, r23-sp30, spinenet-143"):
        published_spec("spinet")
    with pytest.raises(InputError, match="unknown ResNet seed 'r50'; known are r35-sp18"):
        resnet_seed("r50")
