"""Caches of native size: the files themselves, read as squares of any size, and as the originals that they are."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from foundation import InputError
from proxy_tasks.base import silent
from proxy_tasks.coco.batches import load_batches
from proxy_tasks.coco.cache import CachedSplit, cached_split, check_cache
from proxy_tasks.coco.cache_files import CacheKey
from proxy_tasks.coco.native_images import Native, NativeImages
from proxy_tasks.coco.originals import Originals, load_originals
from tests.proxy_tasks.coco.test_cache import caches_in, read_all, reports_of, write_coco

CPU = torch.device("cpu")
LONGEST = 96


def textured(height: int, width: int, seed: int = 0) -> Image.Image:
    """Return a picture with detail of all sizes, as photographs have."""
    coarse = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 13, 3), np.uint8))
    fine = np.random.default_rng(seed + 1).integers(-20, 21, (height, width, 3))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray((smooth + fine).clip(0, 255).astype(np.uint8))


def write_pictures(root: Path, sizes: list[tuple[int, int]]) -> CacheKey:
    """Write textured JPEGs of (width, height); return the key of a native cache that is read at 64 px."""
    key = write_coco(root, sizes)
    for i, (width, height) in enumerate(sizes):
        # What kind a file is its first bytes say, and not its name.
        textured(height, width, i).save(key.image_dir / f"{i}.png", "JPEG", quality=90)
    return dataclasses.replace(key, image_format=Native(LONGEST))


def decoded(split: CachedSplit) -> list[np.ndarray]:
    assert isinstance(split.images, NativeImages)
    return list(split.images.decoded(np.arange(split.annotations.num_images)))


def the_batch(split: CachedSplit, *rows: int) -> Originals:
    (batch,) = load_originals(split, [np.array(rows)], CPU)
    return batch


def test_image_sizes_share_one_native_cache_whose_squares_are_those_of_raw_caches_to_the_bit(tmp_path: Path) -> None:
    key = write_pictures(tmp_path, [(96, 64), (61, 83), (40, 30)])
    for size in (32, 64, 128):
        native = cached_split(dataclasses.replace(key, image_size_px=size), silent)
        raw = cached_split(dataclasses.replace(key, image_size_px=size, image_format="raw"), silent)
        assert np.array_equal(read_all(native), read_all(raw))
        batches = [next(load_batches(split, [np.arange(3)], CPU)) for split in (native, raw)]
        assert all(torch.equal(one, other) for one, other in zip(*batches, strict=True))
        assert native.content == raw.content

    # Three raw ones, and one with the bytes of the files.
    assert len(caches_in(key)) == 4
    files = [(key.image_dir / f"{i}.png").read_bytes() for i in range(3)]
    assert (native.path / "images").read_bytes() == b"".join(files)
    assert reports_of(dataclasses.replace(key, image_size_px=256)) == []


def test_a_native_cache_keeps_files_that_are_as_wanted_and_stores_all_others_as_such(tmp_path: Path) -> None:
    sizes = [(96, 64), (80, 48), (80, 48), (48, 80), (200, 100), (80, 48)]
    key = write_coco(tmp_path, sizes)
    files = [key.image_dir / f"{i}.png" for i in range(len(sizes))]
    exif = Image.Exif()
    exif[0x0112] = 6
    textured(64, 96).save(files[0], "JPEG")
    textured(48, 80).convert("L").save(files[1], "JPEG")
    textured(48, 80).save(files[2], "PNG")
    textured(48, 80).save(files[3], "JPEG", exif=exif)
    textured(100, 200).save(files[4], "JPEG")
    textured(48, 80).convert("CMYK").save(files[5], "JPEG")

    split = cached_split(dataclasses.replace(key, image_format=Native(LONGEST)), silent)
    raw = cached_split(dataclasses.replace(key, image_size_px=LONGEST), silent)
    stored = (split.path / "images").read_bytes()
    assert stored.startswith(files[0].read_bytes() + files[1].read_bytes())
    assert [image.shape for image in decoded(split)] == [
        (64, 96, 3), (48, 80, 3), (48, 80, 3), (80, 48, 3), (48, 96, 3), (48, 80, 3)
    ]  # fmt: skip

    # Files that are kept lose nothing; the others are stored at quality 95.
    at_bound = cached_split(dataclasses.replace(key, image_format=Native(LONGEST), image_size_px=LONGEST), silent)
    difference = np.abs(read_all(at_bound).astype(int) - read_all(raw))
    assert difference[:2].max() == 0
    assert 0 < difference[2:].mean() < 2


def test_original_images_come_with_the_boxes_of_the_original(tmp_path: Path) -> None:
    split = cached_split(write_pictures(tmp_path, [(96, 64), (61, 83), (192, 120)]), silent)
    batch = the_batch(split, 2, 0)
    assert batch.stored_px.tolist() == [[60, 96], [64, 96]]
    assert batch.original_px.tolist() == [[120, 192], [64, 96]]
    assert batch.boxes_xyxy.tolist() == [[1, 2, 97, 62], [1, 2, 49, 34]]
    assert (batch.labels.tolist(), batch.image.tolist(), batch.image_size_px) == ([0, 0], [0, 1], 64)
    for image, expected in zip(batch.separate(), (decoded(split)[2], decoded(split)[0]), strict=True):
        assert np.array_equal(image.numpy(), expected)

    squares = cached_split(dataclasses.replace(write_coco(tmp_path / "b", [(8, 8)])), silent)
    with pytest.raises(TypeError, match="holds squares"):
        the_batch(squares, 0)


def test_a_native_cache_that_is_damaged_is_noticed_and_one_that_is_not_whole_made_again(tmp_path: Path) -> None:
    key = write_pictures(tmp_path, [(64, 64)] * 3)
    split = cached_split(key, silent)
    first, images = read_all(split), split.path / "images"
    content = images.read_bytes()

    images.write_bytes(content[:-100])
    assert any("decoding" in what for what, _, _ in reports_of(key))
    assert np.array_equal(read_all(cached_split(key, silent)), first)

    images.write_bytes(content[:-100] + b"x" * 100)
    with pytest.raises(InputError, match=r"image 2\.png is damaged: delete that folder"):
        check_cache(cached_split(key, silent), silent)


def test_the_record_of_a_native_cache_says_its_bound(tmp_path: Path) -> None:
    split = cached_split(write_pictures(tmp_path, [(64, 64)]), silent)
    record = json.loads((split.path / "cache.json").read_text())
    assert (record["image_format"], record["image_size_px"]) == ("native", LONGEST)
    assert split.path.name.startswith(f"images-{LONGEST}px-native-")
