"""Masks that are scaled, mirrored and cropped with their images: against a slow version, one pixel at a time."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from proxy_tasks.base import silent
from proxy_tasks.coco.cache import CachedSplit, cached_split, masks_of, with_masks
from proxy_tasks.coco.cache_files import CacheKey
from proxy_tasks.coco.native_images import Native
from proxy_tasks.coco.originals import Originals, load_originals
from proxy_tasks.coco.run_lengths import encode_mask
from proxy_tasks.detection.augment import draw_augmentation
from proxy_tasks.detection.augment_originals import augment_originals
from proxy_tasks.segmentation.augment_masks import augment_masks
from tests.proxy_tasks.coco.test_cache import write_coco
from tests.proxy_tasks.detection.test_augment_originals import SIZE, originals, placed

CPU = torch.device("cpu")


def random_blobs(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    coarse = rng.random((4, 5)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)) > 0.5


def masked(masks: list[list[np.ndarray]]) -> Originals:
    """Return black images with some masks each; each box is its mask's own."""
    pictures = [Image.new("RGB", each[0].shape[::-1]) for each in masks]
    flat = [mask for each in masks for mask in each]
    boxes = []
    for mask in flat:
        rows, columns = np.nonzero(mask)
        boxes.append([float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)])
    image = torch.tensor([i for i, each in enumerate(masks) for _ in each])
    pixels = np.concatenate([mask.reshape(-1) for mask in flat]).astype(np.uint8)
    return originals(pictures)._replace(
        boxes_xyxy=torch.tensor(boxes, dtype=torch.float64),
        labels=torch.zeros(len(flat), dtype=torch.long),
        image=image,
        masks=torch.from_numpy(pixels),
    )


def slowly_moved(mask: np.ndarray, drawn: np.ndarray, *, flip: bool, jitter: tuple[float, float]) -> np.ndarray:
    """Read each pixel of the square from the pixel of the mask that its middle falls on."""
    height, width = mask.shape
    scaled_height, scaled_width, top, left = placed(drawn, height, width, jitter)
    moved = np.zeros((SIZE, SIZE), np.uint8)
    for y in range(min(SIZE, scaled_height)):
        for x in range(min(SIZE, scaled_width)):
            source_y, source_x = (y + top + 0.5) * height / scaled_height, (x + left + 0.5) * width / scaled_width
            column = int(source_x)
            if flip and drawn[0] < 0.5:
                column = width - 1 - column
            moved[y, x] = mask[int(source_y), column]
    return moved


@pytest.mark.parametrize("jitter", [(1.0, 1.0), (0.5, 0.7), (0.5, 2.0)])
@pytest.mark.parametrize("flip", [False, True])
def test_masks_are_moved_as_a_slow_version_moves_them(jitter: tuple[float, float], flip: bool) -> None:
    rng = np.random.default_rng(1)
    sizes = [(150, 200), (200, 150), (64, 64), (40, 57)]
    masks = [[random_blobs(rng, *size) for _ in range(1 + i % 3)] for i, size in enumerate(sizes)]
    drawn = draw_augmentation(rng, len(masks))
    moved = augment_masks(masked(masks), drawn, flip=flip, jitter=jitter)
    for i, each in enumerate(masks):
        expected = [slowly_moved(mask, drawn[:, i], flip=flip, jitter=jitter) for mask in each]
        assert np.array_equal(moved[i].numpy(), np.stack(expected))


@pytest.mark.parametrize("jitter", [(0.5, 1.0), (0.5, 2.0)])
def test_a_mask_stays_inside_its_box_and_touches_its_sides_unless_cropped(jitter: tuple[float, float]) -> None:
    rng = np.random.default_rng(2)
    masks = [[random_blobs(rng, *rng.integers(40, 200, 2))] for _ in range(40)]
    drawn = draw_augmentation(rng, len(masks))
    batch = masked(masks)
    boxes = augment_originals(batch, drawn, flip=True, jitter=jitter)
    moved = augment_masks(batch, drawn, flip=True, jitter=jitter)
    for mask, box in zip(moved, boxes.boxes_xyxy.tolist(), strict=True):
        rows, columns = np.nonzero(mask[0].numpy())
        # A pixel counts where its middle does.
        seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert ((seen - box)[:2] > -1).all()
        assert ((seen - box)[2:] < 1).all()
        if jitter[1] <= 1:
            assert seen == pytest.approx(box, abs=1.0)


def masked_split(
    root: Path, sizes: list[tuple[int, int]], longest_side_px: int
) -> tuple[CachedSplit, list[np.ndarray]]:
    """Write images of (width, height), the last without a mask; return them cached, and the masks of the others."""
    key = dataclasses.replace(write_coco(root, sizes), image_format=Native(longest_side_px), max_bad_share=0.5)
    document = json.loads(key.annotation_file.read_text())
    rng = np.random.default_rng(0)
    masks = [random_blobs(rng, height, width) for width, height in sizes[:-1]]
    for one, mask in zip(document["annotations"], masks, strict=False):
        one["segmentation"] = {"size": list(mask.shape), "counts": encode_mask(mask).decode()}
    key.annotation_file.write_text(json.dumps(document))
    return with_masks(cached_split(key, silent), key, silent), masks


def test_batches_hold_the_masks_of_their_boxes_and_none_for_an_image_without(tmp_path: Path) -> None:
    split, masks = masked_split(tmp_path, [(96, 64), (30, 40), (50, 50)], 96)
    batches = list(load_originals(split, [np.array([1, 2, 0]), np.array([2])], CPU))
    found = batches[0].separate_masks()
    assert [len(each) for each in found] == [1, 0, 1]
    assert np.array_equal(found[0][0].numpy(), masks[1])
    assert np.array_equal(found[2][0].numpy(), masks[0])

    # What stands for no box has no pixel.
    assert batches[1].labels.tolist() == [-1]
    assert [each.shape for each in batches[1].separate_masks()] == [(1, 50, 50)]
    assert not batches[1].separate_masks()[0].any()
    assert augment_masks(batches[1], draw_augmentation(np.random.default_rng(0), 1), flip=True, jitter=(1, 1))


def test_masks_stay_with_their_boxes_where_images_are_left_out_or_not_chosen(tmp_path: Path) -> None:
    sizes = [(40 + i, 64 - i) for i in range(6)]
    split, masks = masked_split(tmp_path, sizes, 96)
    key = dataclasses.replace(
        CacheKey(tmp_path / "instances.json", tmp_path / "images", 64, Native(96), 5, tmp_path / "cache"),
        max_bad_share=0.5,
    )
    (tmp_path / "images" / "2.png").write_bytes(b"no image")
    some = with_masks(cached_split(key, silent), key, silent)
    ids = some.annotations.image_ids.tolist()
    assert len(ids) == 4
    assert 12 not in ids
    for number, image_id in enumerate(ids):
        if image_id < 15:
            assert np.array_equal(masks_of(some).decoded(number), masks[image_id - 10])
        else:
            assert not masks_of(some).has_mask[number]
    assert split.annotations.num_images == 6


def test_masks_of_an_image_that_the_cache_has_shrunk_are_read_at_the_middles_of_its_pixels(tmp_path: Path) -> None:
    split, masks = masked_split(tmp_path, [(192, 128), (10, 10)], 96)
    (batch,) = load_originals(split, [np.array([0])], CPU)
    assert batch.stored_px.tolist() == [[64, 96]]
    assert np.array_equal(batch.separate_masks()[0][0].numpy(), masks[0][1::2, 1::2])


def test_a_split_that_was_opened_without_masks_reads_none(tmp_path: Path) -> None:
    split, _ = masked_split(tmp_path, [(96, 64), (10, 10)], 96)
    (batch,) = load_originals(dataclasses.replace(split, masks=None), [np.array([0])], CPU)
    assert batch.masks is None
    with pytest.raises(ValueError, match="read without masks"):
        batch.separate_masks()
