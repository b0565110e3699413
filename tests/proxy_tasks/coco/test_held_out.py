import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from foundation import InputError
from proxy_tasks.base import silent
from proxy_tasks.coco.cache import CachedSplit, cached_split
from proxy_tasks.coco.held_out import recorded_split, split_held_out
from tests.proxy_tasks.coco.test_cache import write_coco


@pytest.fixture
def split(tmp_path: Path) -> CachedSplit:
    return cached_split(write_coco(tmp_path, [(16, 16)] * 20), silent)


def test_held_out_images_are_never_trained_on_and_the_split_repeats() -> None:
    train, held_out = split_held_out(100, 20, seed=3)
    assert len(held_out) == 20
    assert sorted([*train, *held_out]) == list(range(100))
    again = split_held_out(100, 20, seed=3)
    assert np.array_equal(train, again[0])
    assert np.array_equal(held_out, again[1])
    assert not np.array_equal(held_out, split_held_out(100, 20, seed=4)[1])


@pytest.mark.parametrize("num_held_out", [0, 100, 101])
def test_a_split_without_training_or_scoring_images_is_refused(num_held_out: int) -> None:
    with pytest.raises(
        InputError,
        match=f"num_held_out must leave .*: 1 to 99 of 100 images or a share of them, as 0.1; got {num_held_out}",
    ):
        split_held_out(100, num_held_out, seed=0)


def record_of(split: CachedSplit, num_held_out: int, seed: int) -> Path:
    return split.path.parent / f"held_out-{num_held_out}-seed{seed}-{split.content.annotations}.json"


def test_the_choice_is_on_record_beside_the_images(split: CachedSplit) -> None:
    train, held_out = recorded_split(split, 5, 1)
    record = json.loads(record_of(split, 5, 1).read_text())
    ids = split.annotations.image_ids
    assert record == {"train": ids[train].tolist(), "held_out": ids[held_out].tolist()}
    assert [rows.tolist() for rows in split_held_out(20, 5, 1)] == [train.tolist(), held_out.tolist()]


def test_what_is_on_record_counts_and_not_what_the_seed_would_give_today(split: CachedSplit) -> None:
    ids = split.annotations.image_ids.tolist()
    record = {"train": ids[10:][::-1], "held_out": ids[:10]}
    record_of(split, 10, 0).write_text(json.dumps(record))
    train, held_out = recorded_split(split, 10, 0)
    assert train.tolist() == list(range(19, 9, -1))
    assert held_out.tolist() == list(range(10))


def test_images_that_cannot_be_used_are_in_neither_part_and_change_nothing_else(tmp_path: Path) -> None:
    key = write_coco(tmp_path, [(16, 16)] * 200, image_size_px=16)
    whole = cached_split(key, silent)
    expected = [whole.annotations.image_ids[rows].tolist() for rows in recorded_split(whole, 60, 0)]
    shutil.rmtree(key.cache_dir)
    (key.image_dir / "7.png").unlink()
    split = cached_split(key, silent)
    found = [split.annotations.image_ids[rows].tolist() for rows in recorded_split(split, 60, 0)]
    assert found == [[number for number in ids if number != 17] for ids in expected]


def test_caches_of_all_sizes_share_one_choice(tmp_path: Path) -> None:
    key = write_coco(tmp_path, [(16, 16)] * 20)
    for other in (key, dataclasses.replace(key, image_size_px=32), dataclasses.replace(key, image_format="jpeg")):
        recorded_split(cached_split(other, silent), 5, 0)
    assert len(list(key.cache_dir.glob("held_out-*.json"))) == 1


def test_a_record_that_cannot_be_read_is_one_line(split: CachedSplit) -> None:
    path = record_of(split, 5, 0)
    path.mkdir()
    with pytest.raises(InputError, match=re.escape(f"cannot read the held-out split {path}: Is a directory")):
        recorded_split(split, 5, 0)


def test_a_record_that_cannot_be_written_is_one_line(split: CachedSplit, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    elsewhere = dataclasses.replace(split, path=tmp_path / "file" / "cache" / split.path.name)
    with pytest.raises(InputError, match=r"cannot write .*file/cache/held_out-5-seed0-\w+\.json: Not a directory"):
        recorded_split(elsewhere, 5, 0)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '{"train": [1]',
        '{"train": [1, 2, 3], "held_out": [4, 5, 6, 7, 8]}',
        json.dumps({"train": list(range(10, 26)), "held_out": list(range(25, 30))}),
        json.dumps({"train": list(range(10, 26)), "held_out": list(range(26, 30))}),
    ],
    ids=["empty", "no lists", "cut off", "other images", "one in both", "another number"],
)
def test_a_damaged_record_is_refused(split: CachedSplit, content: str) -> None:
    path = record_of(split, 5, 0)
    path.write_text(content)
    with pytest.raises(InputError, match=re.escape(f"{path} is damaged: delete it, and the split is chosen again")):
        recorded_split(split, 5, 0)


def test_a_single_image_is_too_few() -> None:
    with pytest.raises(InputError, match=r"data: 1 image is too few: one is needed to train on, and one to score on"):
        split_held_out(1, 0.1, seed=0)
