"""Masks of a COCO file: read, repaired, counted, kept and decoded."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from foundation import InputError
from proxy_tasks.base import silent
from proxy_tasks.coco.annotation_file import read_annotations
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.bad_entries import BadEntries
from proxy_tasks.coco.mask_cache import BAD_LIST, FILE_NAME, cached_masks
from proxy_tasks.coco.mask_file import check_names_masks, read_masks
from proxy_tasks.coco.masks import MAX_MASKS, Masks, masks_to_train_on, num_masks_beyond_bound
from proxy_tasks.coco.run_lengths import compact as compact_runs
from proxy_tasks.coco.run_lengths import decode_mask, encode_mask, is_sound

HEIGHT, WIDTH = 30, 40
SQUARE = [5, 5, 15, 5, 15, 20, 5, 20]
PLAIN = {"size": [HEIGHT, WIDTH], "counts": [10 * HEIGHT, 6 * HEIGHT, 24 * HEIGHT]}
NOTHING = object()


def write(folder: Path, segmentations: list[Any], **more: Any) -> Path:  # noqa: ANN401  # of the annotations
    """Write two images, of which the second in the file comes first by its id and has all objects but the first."""
    (folder / "images").mkdir()
    images = [{"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT} for number in (9, 4)]
    for image in images:
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "images" / str(image["file_name"]))
    objects = []
    for i, segmentation in enumerate(segmentations):
        one = {"id": 100 + i, "image_id": 9 if i == 0 else 4, "category_id": 1, "bbox": [i, 0, 20, 20], "iscrowd": 0}
        objects.append(one if segmentation is NOTHING else {**one, "segmentation": segmentation, **more})
    document = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "thing"}]}
    path = folder / "instances.json"
    path.write_text(json.dumps(document))
    return path


def annotations_of(path: Path) -> Annotations:
    return read_annotations(path, path.parent / "images", BadEntries(path.parent / "boxes.txt", 1))


def read(path: Path, max_bad_share: float = 0.99) -> tuple[Masks, dict[str, int]]:
    bad = BadEntries(path.parent / "bad.txt", max_bad_share)
    return read_masks(path, annotations_of(path), bad, silent)


def reasons(path: Path) -> list[str]:
    return (path.parent / "bad.txt").read_text().splitlines()


def compact(mask: np.ndarray) -> dict[str, Any]:
    return {"size": list(mask.shape), "counts": encode_mask(mask).decode()}


# pycocotools returns an array of C's own, which NumPy 2 asks for more.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_polygons_and_run_lengths_are_the_masks_that_pycocotools_makes_of_the_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.3
    two = [SQUARE, [20.5, 2.25, 30.5, 2.25, 25.5, 28.0]]
    path = write(tmp_path, [[SQUARE], two, PLAIN, compact(random)])
    masks, repairs = read(path)
    assert not repairs
    assert masks.has_mask.all()

    # Image 4 comes first, with all but the first object of the file.
    oracle = COCO(str(path))
    expected = [oracle.annToMask(oracle.anns[number]) for number in (101, 102, 103, 100)]
    for number, mask in enumerate(expected):
        assert np.array_equal(masks.decoded(number), mask)
    assert np.array_equal(expected[2], random)


# What is bad, the reason that the list has, whether a mask is left, and the repair that is counted.
WITHOUT = "objects without a usable mask, neither trained on nor scored against as masks"
CASES: dict[str, tuple[Any, str, bool, str]] = {
    "missing": (NOTHING, "has no mask", False, WITHOUT),
    "null": (None, "has no mask", False, WITHOUT),
    "empty": ([], "has no mask", False, WITHOUT),
    "an empty polygon": ([[]], "no polygon of three corners in or near", False, WITHOUT),
    "two corners": ([[1, 1, 9, 9]], "no polygon of three corners", False, WITHOUT),
    "an odd number": ([[1, 1, 9, 9, 3, 3, 4]], "no polygon of three corners", False, WITHOUT),
    "words": ([["a"] * 6], "no polygon of three corners", False, WITHOUT),
    "far away": ([[1e9, 1, 1e9, 9, 3, 3]], "no polygon of three corners in or near", False, WITHOUT),
    "not a number": ([[float("nan"), 1, 2, 9, 3, 3]], "no polygon of three corners", False, WITHOUT),
    "beside the image": ([[50, 1, 60, 1, 60, 9]], "mask has no pixel in its image", False, WITHOUT),
    "of no width": ([[5, 5, 5, 5, 5, 5]], "mask has no pixel in its image", False, WITHOUT),
    "half outside": ([[30, 5, 50, 5, 50, 20, 30, 20]], "mask leaves its image", True, "masks clipped to their image"),
    "hardly outside": ([[30, 5, 40.5, 5, 40.5, 20]], "", True, "masks clipped to their image"),
    "one of two": ([SQUARE, [1, 1]], "a polygon of its mask has fewer", True, "polygons left out"),
    "a number": (7, "neither polygons nor run lengths", False, WITHOUT),
    "half a form": ({"counts": "abc"}, "neither polygons nor run lengths", False, WITHOUT),
    "another size": (
        {**PLAIN, "size": [WIDTH, HEIGHT]},
        "mask is of [40, 30] px, its image of [30, 40]",
        False,
        WITHOUT,
    ),
    "too short": ({**PLAIN, "counts": [10, 10]}, "run lengths of its mask are not those", False, WITHOUT),
    "below zero": ({**PLAIN, "counts": [1300, -100]}, "run lengths of its mask", False, WITHOUT),
    "no text": ({**PLAIN, "counts": "\u00e4"}, "run lengths of its mask", False, WITHOUT),
    "broken off": ({**PLAIN, "counts": "Xoo"}, "run lengths of its mask", False, WITHOUT),
    "too long": ({**PLAIN, "counts": "0ooo1ooo1"}, "run lengths of its mask", False, WITHOUT),
    "all zeros": ({**PLAIN, "counts": [HEIGHT * WIDTH]}, "mask has no pixel in its image", False, WITHOUT),
}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_mask_is_clipped_or_left_out_by_its_rule_and_counted(tmp_path: Path, name: str) -> None:
    segmentation, reason, has_mask, repair = CASES[name]
    path = write(tmp_path, [segmentation, [SQUARE], [SQUARE]])
    masks, repairs = read(path)
    assert masks.has_mask.tolist() == [True, True, has_mask]
    assert repairs == {repair: 1}
    if reason:
        assert re.fullmatch(f"annotation 100: .*{re.escape(reason)}.*", reasons(path)[0])
        with pytest.raises(InputError, match=r"annotation 100: .*; 1 of 3 masks are bad, at most 0 % may be"):
            read(path, max_bad_share=0)
    else:
        assert not (tmp_path / "bad.txt").exists()
        read(path, max_bad_share=0)


def test_a_file_without_any_mask_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, [NOTHING, []])
    with pytest.raises(InputError, match=r"instances\.json: no object has a mask: segmentation is missing or empty"):
        read(path)

    # Said before images are decoded, where no annotation has the word.
    check_names_masks(path)
    path.write_bytes(path.read_bytes().replace(b"segmentation", b"outline"))
    with pytest.raises(InputError, match=r"instances\.json: no object has a mask"):
        check_names_masks(path)


def runs_of(mask: np.ndarray) -> list[int]:
    """Return the plain run lengths of a mask, by counting pixel for pixel down the columns."""
    runs, value = [0], 0
    for pixel in mask.T.reshape(-1).tolist():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


@given(st.binary(max_size=12).map(lambda raw: bytes(48 + byte % 80 for byte in raw)), st.integers(1, 9))
def test_run_lengths_that_are_called_sound_are_those_of_a_mask(counts: bytes, side: int) -> None:
    if is_sound(counts, (side, side)):
        mask = decode_mask(counts, (side, side))
        assert compact_runs(runs_of(mask), (side, side)) == encode_mask(mask)


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 1000))
def test_the_run_lengths_of_any_mask_are_sound(height: int, width: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    assert is_sound(encode_mask(mask), (height, width))
    assert not is_sound(encode_mask(mask), (height, width + 1))
    assert np.array_equal(decode_mask(encode_mask(mask), (height, width)), mask)
    assert encode_mask(mask) == compact_runs(runs_of(mask), (height, width))


def test_masks_are_kept_beside_the_cache_and_read_from_there(tmp_path: Path) -> None:
    path = write(tmp_path, [[SQUARE], [SQUARE], NOTHING])
    annotations = annotations_of(path)
    folder = tmp_path / "cache"
    folder.mkdir()
    with pytest.raises(InputError, match=r"has no masks, or damaged ones: run python -m nas\.train head=mask_rcnn"):
        cached_masks(folder, path, annotations, 0.5, None)

    made = cached_masks(folder, path, annotations, 0.5, silent)
    path.unlink()
    kept = cached_masks(folder, path, annotations, 0.5, None)
    for name in ("counts", "starts", "sizes_px"):
        assert np.array_equal(getattr(kept.masks, name), getattr(made.masks, name))
    assert kept.repairs == made.repairs == {WITHOUT: 1}
    assert (folder / BAD_LIST).read_text() == "annotation 102: has no mask\n"

    # Where less is tolerated the same file is refused.
    with pytest.raises(InputError, match="1 of 3 masks are bad"):
        cached_masks(folder, path, annotations, 0, None)


@pytest.mark.parametrize("damage", [b"", b"PK", b"\0" * 4000])
def test_a_damaged_file_of_masks_is_made_again(tmp_path: Path, damage: bytes) -> None:
    path = write(tmp_path, [[SQUARE], [SQUARE]])
    annotations = annotations_of(path)
    made = cached_masks(tmp_path, path, annotations, 0, silent).masks
    whole = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(damage or whole[:300] + b"!" + whole[301:])
    again = cached_masks(tmp_path, path, annotations, 0, silent).masks
    assert np.array_equal(again.counts, made.counts)
    assert (tmp_path / FILE_NAME).read_bytes() == whole


def test_masks_of_several_parts_are_joined_in_order() -> None:
    each = [np.random.default_rng(i).random((3 + i, 4)) < 0.5 for i in range(5)]
    sizes = np.array([mask.shape for mask in each])
    counts = [encode_mask(mask) for mask in each]
    none = Masks.of([], np.zeros((0, 2), np.int64))
    joined = Masks.joined([Masks.of(counts[:2], sizes[:2]), none, Masks.of(counts[2:], sizes[2:])])
    assert all(np.array_equal(joined.decoded(i), mask) for i, mask in enumerate(each))


def test_objects_without_a_mask_crowds_and_those_beyond_the_bound_are_not_trained_on(tmp_path: Path) -> None:
    path = write(tmp_path, [[SQUARE], NOTHING, *[[SQUARE]] * (MAX_MASKS + 3)])
    document = json.loads(path.read_text())
    document["annotations"][-1]["iscrowd"] = 1
    for one in document["annotations"]:
        one["bbox"] = [0, 0, 20, 20]
    path.write_text(json.dumps(document))
    annotations, (masks, _) = annotations_of(path), read(path)

    boxes, image = masks_to_train_on(annotations, masks, np.array([1, 0]))
    # Row 0 is image 4: its first object has no mask, its last is a crowd.
    assert boxes.tolist() == [MAX_MASKS + 4, *range(1, MAX_MASKS + 1)]
    assert image.tolist() == [0] + [1] * MAX_MASKS
    assert num_masks_beyond_bound(annotations, masks, np.array([0, 1])) == 2
