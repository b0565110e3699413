import json
import multiprocessing
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proxy_tasks.base import silent
from proxy_tasks.coco import cache
from proxy_tasks.coco.annotations import Annotations, read_annotations
from proxy_tasks.coco.cache import cached_split, decode_padded
from search_space import InputError


def coco_folder(root: Path, sizes: list[tuple[int, int]]) -> tuple[Annotations, Path]:
    """Write images of (width, height), red on the left half and blue on the right."""
    images = root / "images"
    images.mkdir(parents=True)
    rows = []
    for i, (width, height) in enumerate(sizes):
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[:, : width // 2, 0] = 200
        pixels[:, width // 2 :, 2] = 200
        Image.fromarray(pixels).save(images / f"{i}.png")
        rows.append({"id": i, "file_name": f"{i}.png", "width": width, "height": height})
    box = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [0, 0, sizes[0][0] / 2, sizes[0][1]]}
    document = {"images": rows, "annotations": [box], "categories": [{"id": 1, "name": "red"}]}
    path = root / "instances.json"
    path.write_text(json.dumps(document))
    return read_annotations(path, images), images


def test_long_side_fills_the_square_and_the_rest_is_zero(tmp_path: Path) -> None:
    split = cached_split(*coco_folder(tmp_path, [(128, 64), (32, 64), (64, 64)]), 64, tmp_path / "cache", silent)
    assert split.images.shape == (3, 64, 64, 3)
    assert split.scales.tolist() == [0.5, 1.0, 1.0]
    assert split.images[0, 10, 5].tolist() == [200, 0, 0]
    assert split.images[0, 10, 60].tolist() == [0, 0, 200]
    assert not split.images[0, 32:].any()
    assert not split.images[1, :, 32:].any()
    assert split.images[2].any(axis=-1).all()


def test_images_are_decoded_once(tmp_path: Path) -> None:
    source = coco_folder(tmp_path, [(64, 64), (64, 48)])
    first = cached_split(*source, 64, tmp_path / "cache", silent)
    for image in source[1].iterdir():
        image.write_bytes(b"gone")
    assert np.array_equal(cached_split(*source, 64, tmp_path / "cache", silent).images, first.images)


@pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["empty", "garbage", "truncated"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: bytes | None) -> None:
    source = coco_folder(tmp_path, [(64, 64), (64, 48)])
    first = np.array(cached_split(*source, 64, tmp_path / "cache", silent).images)
    (path,) = (tmp_path / "cache").glob("*.npy")
    path.write_bytes(path.read_bytes()[:5000] if damage is None else damage)
    assert np.array_equal(cached_split(*source, 64, tmp_path / "cache", silent).images, first)


def test_another_size_or_source_has_a_cache_of_its_own(tmp_path: Path) -> None:
    source = coco_folder(tmp_path / "a", [(64, 64)])
    other = coco_folder(tmp_path / "b", [(64, 32)])
    assert cached_split(*source, 64, tmp_path / "cache", silent).images.shape == (1, 64, 64, 3)
    assert cached_split(*source, 32, tmp_path / "cache", silent).images.shape == (1, 32, 32, 3)
    assert not cached_split(*other, 64, tmp_path / "cache", silent).images[0, 32:].any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot decode"),
        (b"no image", "cannot decode"),
        (None, "cannot decode"),
    ],
    ids=["empty", "text", "truncated"],
)
def test_an_image_that_cannot_be_decoded_leaves_no_cache(tmp_path: Path, content: bytes | None, message: str) -> None:
    source = coco_folder(tmp_path, [(64, 64), (64, 64)])
    bad = source[1] / "1.png"
    bad.write_bytes(bad.read_bytes()[:60] if content is None else content)
    with pytest.raises(InputError, match=f"{message} .*1.png"):
        cached_split(*source, 64, tmp_path / "cache", silent)
    assert not list((tmp_path / "cache").glob("*.npy"))
    assert not list((tmp_path / "cache").glob("*.part"))


def test_an_image_of_another_size_than_annotated_is_refused(tmp_path: Path) -> None:
    annotations, images = coco_folder(tmp_path, [(64, 64)])
    Image.new("RGB", (10, 20)).save(images / "0.png")
    with pytest.raises(InputError, match=re.escape("0.png is 10x20 px, its annotations say 64x64")):
        cached_split(annotations, images, 64, tmp_path / "cache", silent)


def test_too_little_disk_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = coco_folder(tmp_path, [(64, 64)])
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 100))  # type: ignore[attr-defined]  # the type that the real one returns
    with pytest.raises(InputError, match=re.escape("needs 0.0 GB and 0.0 GB are free; pass task.cache_dir=")):
        cached_split(*source, 64, tmp_path / "cache", silent)
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_a_cache_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    source = coco_folder(tmp_path, [(64, 64)])
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write the image cache"):
        cached_split(*source, 64, tmp_path / "file" / "cache", silent)


def test_grey_images_become_rgb(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 77).save(tmp_path / "grey.png")
    assert (decode_padded(tmp_path / "grey.png", (8, 8), 8) == 77).all()


def open_in_process(source: tuple[Annotations, Path], cache_dir: Path) -> int:
    return int(cached_split(*source, 64, cache_dir, silent).images.sum())


def test_processes_that_open_a_new_cache_together_see_the_same(tmp_path: Path) -> None:
    source = coco_folder(tmp_path, [(64, 64)] * 30)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        sums = pool.starmap(open_in_process, [(source, tmp_path / "cache")] * 3)
    assert len(set(sums)) == 1
    assert sums[0] > 0
