from collections import Counter
from pathlib import Path

import pytest

from search_space import InputError, SpecFile, load_spec, published_names, published_spec, resnet_seed, write_spec
from search_space.resnet_seeds import BUDGETS


def levels(name: str) -> Counter[int]:
    return Counter(block.level for block in published_spec(name).blocks)


def test_all_published_specs_load() -> None:
    assert published_names() == ("r0-sp53", "r23-sp30", "spinenet-49")


def test_block_counts_are_those_of_table_1() -> None:
    # Table 1 of the paper, scale-permuted part {L2, L3, L4, L5, L6, L7}.
    assert levels("r0-sp53") == {2: 1, 3: 4, 4: 6, 5: 2, 6: 1, 7: 1}
    assert levels("r23-sp30") == {2: 1, 3: 2, 4: 4, 5: 1, 6: 1, 7: 1}
    assert levels("spinenet-49") == {2: 1, 3: 2, 4: 4, 5: 4, 6: 2, 7: 2}


@pytest.mark.parametrize("name", BUDGETS)
def test_layers_of_a_seed_are_those_in_its_name(name: str) -> None:
    # R[N]-SP[M]: N layers in the stem, M in the rest, three for each bottleneck and two outside; 53 in all.
    spec = resnet_seed(name)
    stem_layers, permuted_layers = (int(part.lstrip("rsp")) for part in name.split("-"))
    has_stem = stem_layers > 0
    assert 3 * len(spec.stem) + 2 == (stem_layers if has_stem else 8)
    assert 3 * len(spec.blocks) + (0 if has_stem else 8) == permuted_layers


def test_a_spec_is_loaded_by_name_or_by_path(tmp_path: Path) -> None:
    spec = published_spec("r0-sp53")
    assert load_spec("r0-sp53") == spec
    path = tmp_path / "mine.json"
    write_spec(path, SpecFile(schema_version=1, name="mine", spec=spec))
    assert load_spec(str(path)) == spec
    with pytest.raises(InputError, match=r"cannot read spec absent\.json"):
        load_spec("absent.json")


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown published spec 'spinet'; known are r0-sp53, r23-sp30, spinenet-49"):
        published_spec("spinet")
    with pytest.raises(InputError, match="unknown ResNet seed 'r50'; known are r35-sp18"):
        resnet_seed("r50")
