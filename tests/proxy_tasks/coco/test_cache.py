import dataclasses
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foundation import InputError
from proxy_tasks.base import silent
from proxy_tasks.coco import cache_files, cache_making
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.cache import CachedSplit, cached_split, check_cache
from proxy_tasks.coco.cache_files import CacheKey
from proxy_tasks.coco.image_store import Format
from proxy_tasks.coco.native_images import Native


def write_coco(root: Path, sizes: list[tuple[int, int]], image_size_px: int = 64) -> CacheKey:
    """Write images of (width, height), each of its own colour, with a box each; return the key of their cache."""
    images = root / "images"
    images.mkdir(parents=True)
    listed, boxes = [], []
    for i, (width, height) in enumerate(sizes):
        Image.new("RGB", (width, height), color_of(i)).save(images / f"{i}.png")
        listed.append({"id": 10 + i, "file_name": f"{i}.png", "width": width, "height": height})
        boxes.append({"id": i, "image_id": 10 + i, "category_id": 1 + i % 2, "bbox": [1, 2, width / 2, height / 2]})
    categories = [{"id": 1, "name": "odd"}, {"id": 2, "name": "even"}]
    document = {"images": listed, "annotations": boxes, "categories": categories}
    (root / "instances.json").write_text(json.dumps(document))
    return CacheKey(root / "instances.json", images, image_size_px, "raw", None, root / "cache")


def color_of(i: int) -> tuple[int, int, int]:
    return (i % 256, 100, 255 - i % 256)


def read_all(split: CachedSplit) -> np.ndarray:
    num_images, size = split.annotations.num_images, split.image_size_px
    out = np.empty((num_images, size, size, 3), np.uint8)
    split.images.read(np.arange(num_images), out)
    return out


def caches_in(key: CacheKey) -> list[Path]:
    return [path.parent for path in key.cache_dir.glob("*/cache.json") if path.parent.suffix != ".part"]


def reports_of(key: CacheKey) -> list[tuple[str, int, int]]:
    reports: list[tuple[str, int, int]] = []
    cached_split(key, lambda *report: reports.append(report))
    return reports


def test_a_cache_holds_images_and_annotations(tmp_path: Path) -> None:
    split = cached_split(write_coco(tmp_path, [(128, 64), (32, 64), (64, 64)]), silent)
    images = read_all(split)
    assert images[0, 10, 10].tolist() == list(color_of(0))
    assert not images[0, 32:].any()
    assert not images[1, :, 32:].any()
    assert images[2].any(axis=-1).all()
    assert split.scales_xy.tolist() == [[0.5, 0.5], [1.0, 1.0], [1.0, 1.0]]
    assert split.sizes_px.tolist() == [[32, 64], [64, 32], [64, 64]]
    found = split.annotations
    assert found.image_ids.tolist() == [10, 11, 12]
    assert found.file_names == ("0.png", "1.png", "2.png")
    assert found.sizes_px.tolist() == [[64, 128], [64, 32], [64, 64]]
    assert found.first_box.tolist() == [0, 1, 2, 3]
    assert found.boxes_xyxy[0].tolist() == [1, 2, 65, 34]
    assert found.labels.tolist() == [0, 1, 0]
    assert (found.category_ids, found.category_names) == ((1, 2), ("odd", "even"))
    assert not found.is_crowd.any()
    check_cache(split, silent)


def test_each_axis_has_the_scale_of_its_rounded_size(tmp_path: Path) -> None:
    split = cached_split(write_coco(tmp_path, [(403, 61), (61, 403)], image_size_px=128), silent)
    # By hand: 61 * 128 / 403 = 19.37 is rounded to 19 px, so the short side is scaled by 19 / 61.
    assert split.sizes_px.tolist() == [[19, 128], [128, 19]]
    assert split.scales_xy.tolist() == [[128 / 403, 19 / 61], [19 / 61, 128 / 403]]


def test_jpegs_are_nearly_the_same_in_less_space(tmp_path: Path) -> None:
    key = write_coco(tmp_path, [(128, 64)] * 20)
    raw = cached_split(key, silent)
    jpeg = cached_split(dataclasses.replace(key, image_format="jpeg"), silent)
    # A colour each: nothing that JPEG would blur but the edge to the padding, 8 px around it.
    difference = np.abs(read_all(raw).astype(int) - read_all(jpeg))
    assert difference[:, :24].max() <= 2
    assert jpeg.annotations.file_names == raw.annotations.file_names
    sizes = [(split.path / "images").stat().st_size for split in (raw, jpeg)]
    assert sizes[0] == 20 * 64 * 64 * 3
    assert sizes[1] < sizes[0] / 5
    check_cache(jpeg, silent)


def test_a_cache_is_on_disk_with_all_its_files_before_it_takes_its_name_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def noted_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        calls.append(path.suffix.lstrip(".") if path.is_dir() and path.suffix else path.name)
        fsync(descriptor)

    def noted_rename(self: Path, target: Path) -> Path:
        calls.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    cached_split(write_coco(tmp_path, [(64, 64)] * 3), silent)
    # First the folder of caches is made, which is an entry of the one above.
    made, *files, record, above_record, renamed, above = calls
    assert made == tmp_path.name
    assert files == ["images", "progress.jsonl", "arrays.npz", "cache.json", "part"]
    # Then the record of what its images held, under a name of its own until it is whole.
    assert record.endswith(".part")
    assert above_record == "cache"
    assert (renamed, above) == ("rename", "cache")


def test_images_are_decoded_once(tmp_path: Path) -> None:
    key = write_coco(tmp_path, [(64, 64), (64, 48)])
    first = read_all(cached_split(key, silent))
    assert reports_of(key) == []
    # Once they are cached the image files may go, some or all.
    for image in key.image_dir.iterdir():
        image.unlink()
    assert reports_of(key) == []
    assert np.array_equal(read_all(cached_split(key, silent)), first)


def test_a_cache_is_found_wherever_the_data_has_moved(tmp_path: Path) -> None:
    key = write_coco(tmp_path, [(64, 64), (64, 48)])
    cached_split(key, silent)
    shutil.move(key.image_dir, tmp_path / "elsewhere" / "images")
    shutil.move(key.annotation_file, tmp_path / "elsewhere")
    moved = dataclasses.replace(
        key, annotation_file=tmp_path / "elsewhere" / "instances.json", image_dir=tmp_path / "elsewhere" / "images"
    )
    # What lies elsewhere is read once to see that it is the same, and not decoded.
    assert {what for what, _, _ in reports_of(moved)} == {"comparing image files with those on record"}
    assert reports_of(moved) == []
    assert len(caches_in(key)) == 1


@pytest.mark.parametrize("file", ["images", "arrays.npz", "cache.json"])
@pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["empty", "garbage", "cut off"])
def test_a_cache_that_is_not_whole_is_made_again(tmp_path: Path, file: str, damage: bytes | None) -> None:
    key = write_coco(tmp_path, [(64, 64), (64, 48)])
    split = cached_split(key, silent)
    first = read_all(split)
    path = split.path / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage is None else damage)
    assert reports_of(key)
    assert np.array_equal(read_all(cached_split(key, silent)), first)


def test_damaged_pixels_are_found_by_their_checksum(tmp_path: Path) -> None:
    split = cached_split(write_coco(tmp_path, [(64, 64)] * 3), silent)
    with (split.path / "images").open("r+b") as file:
        file.seek(64 * 64 * 3 + 5)
        file.write(b"x")
    with pytest.raises(InputError, match=r"image 1\.png is damaged: delete that folder"):
        check_cache(split, silent)


def test_other_sizes_annotations_and_choices_have_caches_of_their_own(tmp_path: Path) -> None:
    key = write_coco(tmp_path / "a", [(64, 64)] * 5)
    key = dataclasses.replace(key, cache_dir=tmp_path / "cache")
    other = dataclasses.replace(write_coco(tmp_path / "b", [(64, 32)] * 5), cache_dir=tmp_path / "cache")
    small = dataclasses.replace(key, image_size_px=32)
    few = dataclasses.replace(key, max_images=2)
    splits = [cached_split(one, silent) for one in (key, other, small, few)]
    assert len({split.path for split in splits}) == 4
    assert read_all(splits[2]).shape == (5, 32, 32, 3)
    assert not read_all(splits[1])[:, 32:].any()
    assert splits[3].annotations.num_images == 2


def test_a_cache_of_another_version_lies_beside_unused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = write_coco(tmp_path, [(64, 64)])
    old = cached_split(key, silent).path
    monkeypatch.setattr(cache_files, "VERSION", cache_files.VERSION + 1)
    new = cached_split(key, silent).path
    assert new != old
    assert old.is_dir()


def test_a_choice_of_images_is_always_the_same_and_no_mere_beginning(tmp_path: Path) -> None:
    key = dataclasses.replace(write_coco(tmp_path, [(16, 16)] * 50), max_images=10)
    chosen = cached_split(key, silent).annotations.image_ids
    assert chosen.tolist() == sorted(chosen.tolist())
    assert chosen.tolist() != list(range(10, 20))
    again = dataclasses.replace(key, cache_dir=tmp_path / "again")
    assert cached_split(again, silent).annotations.image_ids.tolist() == chosen.tolist()


def test_many_unusable_images_are_refused_and_what_is_done_stays(tmp_path: Path) -> None:
    key = dataclasses.replace(write_coco(tmp_path, [(64, 64)] * 600), max_bad_share=0.001)
    bad = [key.image_dir / f"{i}.png" for i in (597, 599)]
    good = [path.read_bytes() for path in bad]
    for path in bad:
        path.write_bytes(b"no image")
    list_file = key.unfinished_path(key.fingerprint()).with_suffix(".bad.txt")
    message = (
        r"instances\.json: image 607: cannot decode .*597\.png: .*; 2 of 600 images are bad, at most 0\.1 % may be"
    )
    with pytest.raises(InputError, match=rf"{message}, see data\.max_bad_share; all are listed in {list_file}$"):
        cached_split(key, silent)
    assert [line.split(":")[0] for line in list_file.read_text().splitlines()] == ["image 607", "image 609"]
    assert not [path for path in key.cache_dir.iterdir() if path.suffix not in (".part", ".lock", ".txt")]

    for path, content in zip(bad, good, strict=True):
        path.write_bytes(content)
    decoded = [done for what, done, _ in reports_of(key) if "decoding" in what]
    assert min(decoded) >= 2 * 256
    assert not list_file.exists()


def test_a_larger_share_takes_what_was_refused_as_it_is_decoded_and_a_smaller_one_refuses_it_again(
    tmp_path: Path,
) -> None:
    key = dataclasses.replace(write_coco(tmp_path, [(16, 16)] * 20, image_size_px=16), max_bad_share=0.05)
    for i in (3, 4):
        (key.image_dir / f"{i}.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="2 of 20 images are bad, at most 5 % may be"):
        cached_split(key, silent)

    tolerant = dataclasses.replace(key, max_bad_share=0.1)
    assert [done for what, done, _ in reports_of(tolerant) if "decoding" in what] == [20]
    assert cached_split(tolerant, silent).bad == {"images": (2, 20)}
    with pytest.raises(InputError, match=r"instances\.json; 2 of 20 images are bad, at most 5 % may be"):
        cached_split(key, silent)


def test_a_few_unusable_images_are_left_out_with_their_boxes_and_named(tmp_path: Path) -> None:
    key = write_coco(tmp_path, [(16, 16)] * 200, image_size_px=16)
    (key.image_dir / "7.png").write_bytes(b"no image")
    (key.image_dir / "9.png").unlink()
    Image.new("L", (16, 16), 9).save(key.image_dir / "8.png")
    split = cached_split(key, silent)
    assert split.annotations.num_images == len(split.annotations.boxes_xyxy) == 198
    assert split.listed_ids.tolist() == list(range(10, 210))
    assert sorted(set(split.listed_ids) - set(split.annotations.image_ids)) == [17, 19]
    assert read_all(split)[7, 0, 0].tolist() == [9, 9, 9]
    assert read_all(split)[8, 0, 0].tolist() == list(color_of(10))
    assert list(split.left_out) == ["7.png", "9.png"]
    assert "cannot decode" in split.left_out["7.png"]
    assert "there is no file" in split.left_out["9.png"]
    assert split.annotations.repairs == {
        "images converted from grey to RGB": 1,
        "images that cannot be used left out": 2,
    }
    check_cache(split, silent)


def test_an_image_that_was_repaired_since_a_refusal_is_used(tmp_path: Path) -> None:
    key = write_coco(tmp_path, [(16, 16)] * 600, image_size_px=16)
    key = dataclasses.replace(key, max_bad_share=0)
    bad = [key.image_dir / f"{i}.png" for i in (5, 500)]
    good = [path.read_bytes() for path in bad]
    for path in bad:
        path.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"cannot decode .*/5\.png: .*; 2 of 600 images are bad"):
        cached_split(key, silent)
    for path, content in zip(bad, good, strict=True):
        path.write_bytes(content)
    split = cached_split(key, silent)
    assert not split.left_out
    assert read_all(split)[[5, 500], 0, 0].tolist() == [list(color_of(5)), list(color_of(500))]


def test_images_that_change_between_stop_and_resume_do_not_shift_the_others(tmp_path: Path) -> None:
    key = write_coco(tmp_path, [(16, 16)] * 600, image_size_px=16)
    gone, broken = key.image_dir / "3.png", key.image_dir / "599.png"
    contents = gone.read_bytes(), broken.read_bytes()
    gone.unlink()
    broken.write_bytes(b"no image")
    with pytest.raises(InputError, match="2 of 600"):
        cached_split(dataclasses.replace(key, max_bad_share=0.001), silent)
    gone.write_bytes(contents[0])
    broken.write_bytes(contents[1])
    split = cached_split(key, silent)
    assert read_all(split)[:, 0, 0].tolist() == [list(color_of(i)) for i in range(600)]


def test_a_file_that_the_system_cannot_read_is_one_line(tmp_path: Path) -> None:
    key = write_coco(tmp_path, [(16, 16)] * 1000, image_size_px=16)
    (key.image_dir / "1.png").unlink()
    (key.image_dir / "1.png").symlink_to("1.png")
    with pytest.raises(InputError, match=r"cannot read .*1\.png: Too many levels"):
        cached_split(key, silent)


def test_a_check_that_fails_stops_before_any_image_is_decoded(tmp_path: Path) -> None:
    key = write_coco(tmp_path, [(64, 64)])
    reports: list[str] = []

    def refuse(annotations: Annotations) -> None:
        raise InputError(f"{annotations.num_images} image is too little")

    with pytest.raises(InputError, match="1 image is too little"):
        cached_split(key, lambda what, done, total: reports.append(what), refuse)
    assert not any("decoding" in what for what in reports)
    cached_split(key, silent)
    with pytest.raises(InputError, match="1 image is too little"):
        cached_split(key, silent, refuse)


def test_too_little_disk_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = write_coco(tmp_path, [(64, 64)])
    monkeypatch.setattr(cache_making.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 100))  # type: ignore[attr-defined]  # the type that the real one returns
    message = "needs 1.2e-05 GB and 1e-07 GB are free: delete what is not needed in "
    with pytest.raises(InputError, match=re.escape(message)):
        cached_split(key, silent)
    assert [path.suffix for path in key.cache_dir.iterdir()] == [".lock"]


def test_a_cache_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    key = write_coco(tmp_path, [(64, 64)])
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write the image cache"):
        cached_split(dataclasses.replace(key, cache_dir=tmp_path / "file" / "cache"), silent)


def start_preparing(key: CacheKey, *, largest_file: int | None = None) -> subprocess.Popen[str]:
    script = (
        "import resource, sys\nfrom pathlib import Path\nfrom proxy_tasks.base import silent\n"
        "from proxy_tasks.coco.cache import cached_split\n"
        "from proxy_tasks.coco.cache_files import CacheKey\n"
        "from proxy_tasks.coco.native_images import Native\n"
        f"limit = {largest_file}\n"
        "if limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        f"from foundation import InputError\n"
        f"key = CacheKey(Path({str(key.annotation_file)!r}), Path({str(key.image_dir)!r}), {key.image_size_px}, "
        f"{key.image_format!r}, None, Path({str(key.cache_dir)!r}))\n"
        "try: cached_split(key, silent)\n"
        "except InputError as error: sys.exit(f'error: {error}')\n"
    )
    return subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)


def until_chunks(key: CacheKey, number: int) -> Iterator[None]:
    """Yield while fewer than `number` chunks are on disk."""
    progress = key.unfinished_path(key.fingerprint()) / "progress.jsonl"
    deadline = time.monotonic() + 60
    while not progress.exists() or progress.read_bytes().count(b"\n") < number:
        assert time.monotonic() < deadline
        yield


@pytest.fixture(scope="module")
def large_set(tmp_path_factory: pytest.TempPathFactory) -> CacheKey:
    """Images for more than three chunks of a cache."""
    return write_coco(tmp_path_factory.mktemp("large"), [(320, 240)] * 900, image_size_px=128)


@pytest.mark.parametrize(
    "image_format",
    ["raw", pytest.param("jpeg", marks=pytest.mark.long), pytest.param(Native(128), marks=pytest.mark.long)],
)
def test_killed_at_any_moment_it_resumes_where_it_stopped(
    large_set: CacheKey, tmp_path: Path, image_format: Format | Native
) -> None:
    key = dataclasses.replace(large_set, image_format=image_format, cache_dir=tmp_path / "cache")
    for number in (1, 2):
        process = start_preparing(key)
        for _ in until_chunks(key, number):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not caches_in(key)
    # As if the machine had stopped in the middle of a line, and of an image.
    part = key.unfinished_path(key.fingerprint())
    for name in ("progress.jsonl", "images"):
        with (part / name).open("ab") as file:
            file.write(b'{"stop": 900, "num_by')
    decoded = [done for what, done, _ in reports_of(key) if "decoding" in what]
    assert min(decoded) >= 2 * 256
    split = cached_split(key, silent)
    check_cache(split, silent)
    fresh = cached_split(dataclasses.replace(key, cache_dir=tmp_path / "fresh"), silent)
    assert (split.path / "images").read_bytes() == (fresh.path / "images").read_bytes()
    assert split.annotations.file_names == fresh.annotations.file_names
    assert not part.exists()


def test_a_disk_that_is_full_is_one_line_and_what_is_done_stays(tmp_path: Path) -> None:
    # The size of a file is limited instead: the same error from the same call, with another number.
    key = write_coco(tmp_path, [(64, 64)] * 600, image_size_px=64)
    process = start_preparing(key, largest_file=64 * 64 * 3 * 300)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch(
        r"error: cannot write the image cache .*: File too large; the same command resumes .*\n", message
    )
    assert not caches_in(key)
    decoded = [done for what, done, _ in reports_of(key) if "decoding" in what]
    assert min(decoded) >= 256
    check_cache(cached_split(key, silent), silent)


def open_in_process(key: CacheKey) -> int:
    return int(read_all(cached_split(key, silent)).sum())


def test_processes_that_open_a_new_cache_together_see_the_same(tmp_path: Path) -> None:
    key = write_coco(tmp_path, [(64, 64)] * 30)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        sums = pool.map(open_in_process, [key] * 3)
    assert len(set(sums)) == 1
    assert sums[0] > 0
