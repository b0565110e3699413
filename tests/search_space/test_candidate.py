from dataclasses import replace
from pathlib import Path

import pytest

from foundation import InputError
from search_space import Candidate, ModelScale, SpecFile, published_spec, read_spec, write_spec

SPEC = published_spec("spinenet-49")
SCALE = ModelScale(width_multiplier=0.8, image_size_px=512)


def test_without_a_scale_the_key_is_that_of_the_spec() -> None:
    assert Candidate(SPEC).key == SPEC.key


def test_the_key_covers_every_size_and_is_the_one_on_record() -> None:
    sizes = [SCALE, replace(SCALE, block_repeats=2), replace(SCALE, activation="silu"), replace(SCALE, head_width=128)]
    keys = {Candidate(SPEC, scale).key for scale in sizes}
    assert len({SPEC.key, *keys}) == len(sizes) + 1
    # On record in journals: it must not change with versions.
    assert Candidate(SPEC, SCALE).key == "154943c38730b7dc"


def test_whole_numbers_have_the_key_of_their_floats() -> None:
    assert Candidate(SPEC, ModelScale(width_multiplier=2)).key == Candidate(SPEC, ModelScale(width_multiplier=2.0)).key


def test_a_spec_file_keeps_the_key_of_a_candidate_and_notices_another_scale(tmp_path: Path) -> None:
    found = SpecFile(schema_version=1, name="mine", key=Candidate(SPEC, SCALE).key, spec=SPEC, scale=SCALE)
    write_spec(tmp_path / "mine.json", found)
    assert read_spec(tmp_path / "mine.json") == found

    text = (tmp_path / "mine.json").read_text().replace('"image_size_px": 512', '"image_size_px": 640')
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(InputError, match=f"key: the spec's own key is {SPEC.key}, got {found.key}"):
        read_spec(tmp_path / "other.json")
