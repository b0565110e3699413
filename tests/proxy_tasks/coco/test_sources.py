"""A cache belongs to the pictures that it was made of, wherever they lie and whatever has their names and sizes."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foundation import InputError, short_path
from proxy_tasks.base import silent
from proxy_tasks.coco import cache, cache_files
from proxy_tasks.coco.cache import cached_split, check_cache, existing_split
from proxy_tasks.coco.cache_files import CacheKey
from proxy_tasks.coco.held_out import recorded_split
from tests.proxy_tasks.coco.test_cache import caches_in, read_all, reports_of, write_coco

COMPARING = "comparing image files with those on record"
LONG_AGO_S = 315532800.0  # 1980, which archives that are made reproducibly give to all their files


def write_pictures(root: Path, num_images: int, seed: int) -> CacheKey:
    """Write uncompressed pictures with the annotations that any seed has; caches are shared by all of them."""
    key = write_coco(root, [(16, 16)] * num_images, image_size_px=16)
    rng = np.random.default_rng(seed)
    for i in range(num_images):
        # The content decides the format: names of two sets may be the same.
        write_picture(key.image_dir / f"{i}.png", rng)
    return dataclasses.replace(key, cache_dir=root.parent / "cache")


def write_picture(path: Path, rng: np.random.Generator) -> None:
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(path, "BMP")
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))


def pictures_of(key: CacheKey) -> np.ndarray:
    paths = sorted(key.image_dir.iterdir(), key=lambda path: int(path.stem))
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def num_decoded(key: CacheKey) -> int:
    return len({done for what, done, _ in reports_of(key) if "decoding" in what} - {0})


def test_pictures_of_equal_names_sizes_and_times_have_a_cache_of_their_own(tmp_path: Path) -> None:
    visible, infrared = (write_pictures(tmp_path / name, 3, seed) for seed, name in enumerate(("visible", "infrared")))
    assert visible.fingerprint() == infrared.fingerprint()
    for key in (visible, infrared):
        assert np.array_equal(read_all(cached_split(key, silent)), pictures_of(key))
    # Each finds its own again, at once.
    for key in (visible, infrared):
        assert reports_of(key) == []
        assert np.array_equal(read_all(cached_split(key, silent)), pictures_of(key))
        assert np.array_equal(read_all(existing_split(key, None)), pictures_of(key))


def test_a_picture_that_changes_in_place_is_noticed_though_its_size_and_time_are_the_same(tmp_path: Path) -> None:
    key = write_pictures(tmp_path / "set", 3, seed=0)
    first = cached_split(key, silent)
    before = (key.image_dir / "1.png").read_bytes()
    write_picture(key.image_dir / "1.png", np.random.default_rng(9))
    reports = reports_of(key)
    assert reports[:2] == [(COMPARING, 0, 1), (COMPARING, 1, 1)]
    second = cached_split(key, silent)
    assert np.array_equal(read_all(second), pictures_of(key))
    assert second.content.annotations == first.content.annotations
    assert second.content.images != first.content.images

    # What it was before has its cache still.
    (key.image_dir / "1.png").write_bytes(before)
    assert num_decoded(key) == 0
    assert cached_split(key, silent).path == first.path


def test_touched_files_are_read_once_and_nothing_is_decoded(tmp_path: Path) -> None:
    key = write_pictures(tmp_path / "set", 5, seed=0)
    split = cached_split(key, silent)
    for name in ("1.png", "4.png"):
        (key.image_dir / name).touch()
    assert reports_of(key) == [(COMPARING, 0, 2), (COMPARING, 2, 2)]
    assert reports_of(key) == []
    assert cached_split(key, silent).path == split.path


def test_the_folder_may_be_spelled_in_any_way(tmp_path: Path) -> None:
    key = write_pictures(tmp_path / "set", 3, seed=0)
    split = cached_split(key, silent)
    (tmp_path / "link").symlink_to("set/images")
    for image_dir in (tmp_path / "link", tmp_path / "set" / ".." / "set" / "images"):
        spelled = dataclasses.replace(key, image_dir=image_dir)
        assert reports_of(spelled) == []
        assert cached_split(spelled, silent).path == split.path


def test_images_that_are_gone_count_as_cached_only_where_they_were(tmp_path: Path) -> None:
    key = write_pictures(tmp_path / "set", 3, seed=0)
    cached_split(key, silent)
    elsewhere = write_pictures(tmp_path / "other", 3, seed=1)
    for folder in (key.image_dir, elsewhere.image_dir):
        shutil.rmtree(folder)
        folder.mkdir()
    assert reports_of(key) == []
    with pytest.raises(InputError, match=r"image 10: there is no file .*other/images/0\.png; 3 of 3 images"):
        cached_split(elsewhere, silent)


def test_what_was_decoded_of_one_set_never_ends_up_in_the_cache_of_another(tmp_path: Path) -> None:
    one, other = (write_pictures(tmp_path / name, 300, seed) for seed, name in enumerate(("one", "other")))
    # A making that stops once the first chunk of 256 is decoded.
    (one.image_dir / "299.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"cannot decode .*299\.png"):
        cached_split(dataclasses.replace(one, max_bad_share=0), silent)
    assert one.unfinished_path(one.fingerprint()) == other.unfinished_path(other.fingerprint())

    # The first chunk is the same, but for one picture.
    for i in range(299):
        if i != 200:
            shutil.copy2(one.image_dir / f"{i}.png", other.image_dir / f"{i}.png")
    split = cached_split(other, silent)
    assert np.array_equal(read_all(split), pictures_of(other))
    check_cache(split, silent)


def test_a_making_that_stopped_resumes_where_the_data_has_moved(tmp_path: Path) -> None:
    key = write_pictures(tmp_path / "set", 300, seed=0)
    good = (key.image_dir / "299.png").read_bytes()
    (key.image_dir / "299.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"cannot decode .*299\.png"):
        cached_split(dataclasses.replace(key, max_bad_share=0), silent)
    (key.image_dir / "299.png").write_bytes(good)
    key.image_dir.parent.rename(tmp_path / "moved")
    moved = dataclasses.replace(
        key, annotation_file=tmp_path / "moved" / "instances.json", image_dir=tmp_path / "moved" / "images"
    )
    assert min(done for what, done, _ in reports_of(moved) if "decoding" in what) == 256
    assert np.array_equal(read_all(cached_split(moved, silent)), pictures_of(moved))


def test_stopped_before_the_cache_has_its_name_it_is_not_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = write_pictures(tmp_path / "set", 3, seed=0)

    def stop(part: Path, path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cache, "take_name", stop)
        with pytest.raises(KeyboardInterrupt):
            cached_split(key, silent)
    assert not caches_in(key)
    assert [done for what, done, _ in reports_of(key) if "decoding" in what] == [3]
    assert np.array_equal(read_all(cached_split(key, silent)), pictures_of(key))


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"PK\x03\x04 cut off"])
def test_a_source_record_that_is_lost_or_damaged_is_made_again(tmp_path: Path, content: bytes | None) -> None:
    key = write_pictures(tmp_path / "set", 3, seed=0)
    split = cached_split(key, silent)
    record = key.source_record(key.fingerprint())
    if content is None:
        record.unlink()
    else:
        record.write_bytes(content)
    assert reports_of(key)
    assert reports_of(key) == []
    assert caches_in(key) == [split.path]
    assert np.array_equal(read_all(cached_split(key, silent)), pictures_of(key))


@pytest.mark.parametrize("damaged", [b"no image", None], ids=["damaged", "missing"])
def test_a_picture_that_could_not_be_used_is_used_once_it_is_repaired(tmp_path: Path, damaged: bytes | None) -> None:
    key = write_coco(tmp_path, [(16, 16)] * 1000, image_size_px=16)
    picture = key.image_dir / "7.png"
    good = picture.read_bytes()
    picture.unlink()
    if damaged is not None:
        picture.write_bytes(damaged)
    assert list(cached_split(key, silent).left_out) == ["7.png"]
    picture.write_bytes(good)
    assert not cached_split(key, silent).left_out


def test_a_worker_opens_what_its_search_was_prepared_on_whatever_was_prepared_since(tmp_path: Path) -> None:
    key = write_pictures(tmp_path / "set", 3, seed=0)
    content = cached_split(key, silent).content
    before = pictures_of(key)
    write_picture(key.image_dir / "1.png", np.random.default_rng(9))
    cached_split(key, silent)
    assert np.array_equal(read_all(existing_split(key, content)), before)
    assert np.array_equal(read_all(existing_split(key, None)), pictures_of(key))

    # Another machine's cache, of other pictures, is none of its own.
    elsewhere = dataclasses.replace(key, cache_dir=tmp_path / "elsewhere")
    cached_split(elsewhere, silent)
    with pytest.raises(InputError, match="is missing: every machine needs it, made of the same images"):
        existing_split(elsewhere, content)


def test_caches_that_cannot_be_written_serve_data_in_another_folder(tmp_path: Path, small_disk: Path) -> None:
    key = dataclasses.replace(write_pictures(tmp_path / "set", 3, seed=0), cache_dir=small_disk)
    split = cached_split(key, silent)
    recorded_split(split, 1, 0)
    moved = dataclasses.replace(write_pictures(tmp_path / "copy", 3, seed=0), cache_dir=small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    # Each start says so, and neither decodes anything nor reads the files a second time.
    record = moved.source_record(moved.fingerprint())
    refusal = f"image files will be compared again at the next start: cannot write {short_path(record)}: Read-only file"
    assert [what[: len(refusal)] for what, _, _ in reports_of(moved)] == [COMPARING, COMPARING, refusal]
    assert reports_of(moved) == [(f"{refusal} system", 1, 1)]
    assert cached_split(moved, silent).path == existing_split(moved, None).path == split.path

    # Where it can be written again, it is.
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert reports_of(moved) == []
    assert record.exists()


def test_each_set_keeps_the_list_of_what_is_bad_in_it(tmp_path: Path) -> None:
    one, other = (write_pictures(tmp_path / name, 3, seed) for seed, name in enumerate(("one", "other")))
    (one.image_dir / "1.png").unlink()
    assert cached_split(one, silent).bad == {"images": (1, 3)}
    assert cached_split(other, silent).bad == {}
    listed = f"image 11: there is no file {one.image_dir}/1.png\n"
    assert cached_split(one, silent).bad_list.read_text() == listed


def test_content_is_the_same_in_any_place_size_and_format(tmp_path: Path) -> None:
    key = write_pictures(tmp_path / "set", 3, seed=0)
    copied = write_pictures(tmp_path / "copy", 3, seed=0)
    others = (copied, dataclasses.replace(key, image_size_px=32), dataclasses.replace(key, image_format="jpeg"))
    assert {cached_split(other, silent).content for other in others} == {cached_split(key, silent).content}


def test_held_out_images_of_an_older_version_are_kept_and_its_caches_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = write_pictures(tmp_path / "set", 20, seed=0)
    file_hash = hashlib.sha256(key.annotation_file.read_bytes()).hexdigest()
    fingerprint = hashlib.sha256(json.dumps([4, file_hash, None]).encode()).hexdigest()[:16]
    old = key.cache_dir / f"images-16px-raw-{fingerprint}"
    old.mkdir(parents=True)
    (old / "images").write_bytes(b"of version 4")
    part = key.cache_dir / f"images-16px-raw-{fingerprint}.part"
    part.mkdir()
    (part / "images").write_bytes(bytes(768))
    (part / "progress.jsonl").write_text(
        '{"num_bytes":768,"images":[{"source_bytes":822,"num_bytes":768,"crc32":1}]}\n'
    )
    ids = list(range(10, 30))
    held_out = key.cache_dir / f"held_out-5-seed0-{fingerprint}.json"
    held_out.write_text(json.dumps({"train": ids[:15], "held_out": ids[15:]}))

    # Nor does the next version choose others.
    for version in (cache_files.VERSION, cache_files.VERSION + 1):
        monkeypatch.setattr(cache_files, "VERSION", version)
        split = cached_split(key, silent)
        assert recorded_split(split, 5, 0)[1].tolist() == list(range(15, 20))
        assert np.array_equal(read_all(split), pictures_of(key))
    assert (old / "images").read_bytes() == b"of version 4"
    assert len(caches_in(key)) == 2
