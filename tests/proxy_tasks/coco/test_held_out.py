import json
import re
from pathlib import Path

import numpy as np
import pytest

from proxy_tasks.base import silent
from proxy_tasks.coco.cache import CachedSplit, cached_split
from proxy_tasks.coco.held_out import recorded_split, split_held_out
from search_space import InputError
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
    with pytest.raises(InputError, match=f"num_held_out must leave .*: 1 to 99 of 100 images, got {num_held_out}"):
        split_held_out(100, num_held_out, seed=0)


def test_the_choice_is_on_record_beside_the_images(split: CachedSplit) -> None:
    train, held_out = recorded_split(split, 5, 1)
    record = json.loads((split.path / "held_out-5-seed1.json").read_text())
    ids = split.annotations.image_ids
    assert record == {"train": ids[train].tolist(), "held_out": ids[held_out].tolist()}
    assert [rows.tolist() for rows in split_held_out(20, 5, 1)] == [train.tolist(), held_out.tolist()]


def test_what_is_on_record_counts_and_not_what_the_seed_would_give_today(split: CachedSplit) -> None:
    ids = split.annotations.image_ids.tolist()
    record = {"train": ids[10:][::-1], "held_out": ids[:10]}
    (split.path / "held_out-10-seed0.json").write_text(json.dumps(record))
    train, held_out = recorded_split(split, 10, 0)
    assert train.tolist() == list(range(19, 9, -1))
    assert held_out.tolist() == list(range(10))


@pytest.mark.parametrize("content", ["", "{}", '{"train": [1]'])
def test_a_damaged_record_is_refused(split: CachedSplit, content: str) -> None:
    path = split.path / "held_out-5-seed0.json"
    path.write_text(content)
    with pytest.raises(InputError, match=re.escape(f"{path} is damaged: delete it, and the split is chosen again")):
        recorded_split(split, 5, 0)
