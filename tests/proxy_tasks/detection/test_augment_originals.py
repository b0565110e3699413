"""Original images scaled, jittered, flipped and cropped: against other implementations, on the original's pixels."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from proxy_tasks.base import silent
from proxy_tasks.coco.batches import IMAGENET, load_batches
from proxy_tasks.coco.cache import cached_split
from proxy_tasks.coco.decode import fitted_size
from proxy_tasks.coco.originals import Originals
from proxy_tasks.detection.augment import draw_augmentation
from proxy_tasks.detection.augment_originals import augment_originals
from tests.proxy_tasks.coco.test_native_images import CPU, textured, the_batch, write_pictures

SIZE = 64
ROUNDING = 1.01
"""Levels of 256 by which Pillow differs, which rounds after each axis."""


def originals(pictures: list[Image.Image], boxes: list[list[float]] | None = None) -> Originals:
    """Return pictures with one box each, which is the whole picture unless another is given."""
    arrays = [np.asarray(picture) for picture in pictures]
    sizes_px = np.array([array.shape[:2] for array in arrays])
    whole = [[0.0, 0.0, float(width), float(height)] for height, width in sizes_px.tolist()]
    return Originals(
        pixels=torch.from_numpy(np.concatenate([array.reshape(-1) for array in arrays])),
        stored_px=sizes_px,
        original_px=sizes_px,
        boxes_xyxy=torch.tensor(boxes or whole, dtype=torch.float64),
        labels=torch.zeros(len(arrays), dtype=torch.long),
        image=torch.arange(len(arrays)),
        image_size_px=SIZE,
    )


def levels(images: Tensor, sizes_px: Tensor) -> list[np.ndarray]:
    """Return (B, 3, S, S) normalised images as levels from 0 to 255, without padding, which has to be zero."""
    back = (images.permute(0, 2, 3, 1) * torch.tensor(IMAGENET.std) + torch.tensor(IMAGENET.mean)) * 255
    for image, (height, width) in zip(images, sizes_px.int().tolist(), strict=True):
        assert not image[:, height:].any()
        assert not image[:, :, width:].any()
    return [image[:h, :w].numpy() for image, (h, w) in zip(back, sizes_px.int().tolist(), strict=True)]


def placed(drawn: np.ndarray, height: int, width: int, jitter: tuple[float, float]) -> tuple[int, int, int, int]:
    """Return scaled height and width, and the crop's top and left, as the reference has them: in whole pixels."""
    side = round(SIZE * (jitter[0] + (jitter[1] - jitter[0]) * float(drawn[1])))
    scaled_height, scaled_width = fitted_size(height, width, side)
    top, left = (int(max(n - SIZE, 0) * float(u)) for n, u in ((scaled_height, drawn[3]), (scaled_width, drawn[2])))
    return scaled_height, scaled_width, top, left


def test_without_jitter_images_and_boxes_are_those_of_a_cache_of_squares(tmp_path: Path) -> None:
    key = write_pictures(tmp_path, [(96, 64), (61, 83), (64, 64), (40, 30)])
    rows = np.arange(4)
    (square,) = load_batches(cached_split(dataclasses.replace(key, image_format="raw"), silent), [rows], CPU)
    drawn = draw_augmentation(np.random.default_rng(0), 4)
    batch = augment_originals(the_batch(cached_split(key, silent), *rows), drawn, flip=False, jitter=(1.0, 1.0))

    for name in ("sizes_px", "boxes_xyxy", "labels", "image"):
        assert torch.equal(getattr(batch, name), getattr(square, name)), name
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    pairs = zip(levels(batch.images, batch.sizes_px), levels(square.images, square.sizes_px), strict=True)
    assert max(np.abs(mine - theirs).max() for mine, theirs in pairs) < ROUNDING
    # One that has the size already is taken as it is.
    assert torch.equal(batch.images[2], square.images[2])


@pytest.mark.parametrize("jitter", [(0.5, 0.7), (0.8, 1.2), (0.5, 2.0), (2.0, 2.0)])
@pytest.mark.parametrize("flip", [False, True])
def test_an_image_is_one_resampling_of_its_original(jitter: tuple[float, float], flip: bool) -> None:
    pictures = [textured(*size, i) for i, size in enumerate([(150, 200), (200, 150), (64, 64), (40, 57), (9, 120)] * 3)]
    drawn = draw_augmentation(np.random.default_rng(3), len(pictures))
    batch = augment_originals(originals(pictures), drawn, flip=flip, jitter=jitter)

    for i, (picture, found) in enumerate(zip(pictures, levels(batch.images, batch.sizes_px), strict=True)):
        height, width, top, left = placed(drawn[:, i], picture.height, picture.width, jitter)
        source = picture
        if flip and drawn[0, i] < 0.5:
            source = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        whole = np.asarray(source.resize((width, height), Image.Resampling.BILINEAR)).astype(float)
        assert np.abs(found - whole[top : top + SIZE, left : left + SIZE]).max() < ROUNDING

        # What is enlarged is plain bilinear interpolation of the original's pixels, to what float32 can tell.
        if height >= picture.height and width >= picture.width:
            x, y = ((np.arange(SIZE)[:n] + at + 0.5) * 2 / all_ - 1 for n, at, all_ in (
                (found.shape[1], left, width), (found.shape[0], top, height)))  # fmt: skip
            grid = torch.from_numpy(np.stack(np.meshgrid(x, y), axis=-1))[None]
            planes = torch.from_numpy(np.asarray(source).copy()).permute(2, 0, 1)[None].double()
            sampled = F.grid_sample(planes, grid, padding_mode="border", align_corners=False)
            assert np.abs(found - sampled[0].permute(1, 2, 0).numpy()).max() < 1e-2


def test_where_the_original_has_the_detail_an_enlarged_crop_is_as_sharp_as_the_original() -> None:
    picture = textured(2 * SIZE, 2 * SIZE)
    drawn = draw_augmentation(np.random.default_rng(0), 1)
    batch = augment_originals(originals([picture]), drawn, flip=False, jitter=(2.0, 2.0))
    _, _, top, left = placed(drawn[:, 0], 2 * SIZE, 2 * SIZE, (2.0, 2.0))
    expected = np.asarray(picture)[top : top + SIZE, left : left + SIZE]
    # Normalisation and back, in float32.
    assert np.abs(levels(batch.images, batch.sizes_px)[0] - expected).max() < 1e-3


def test_boxes_stay_on_the_pixels_that_they_are_around() -> None:
    num_images, jitter = 60, (0.5, 2.0)
    rng = np.random.default_rng(1)
    pictures, boxes = [], []
    for _ in range(num_images):
        height, width = rng.integers(60, 250, 2)
        x1, y1 = rng.integers(0, (width - 40, height - 40))
        x2, y2 = rng.integers((x1 + 30, y1 + 30), (width + 1, height + 1))
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[y1:y2, x1:x2] = 255
        pictures.append(Image.fromarray(pixels))
        boxes.append([float(x1), float(y1), float(x2), float(y2)])
    drawn = draw_augmentation(rng, num_images)
    batch = augment_originals(originals(pictures, boxes), drawn, flip=True, jitter=jitter)

    num_seen = 0
    found = levels(batch.images, batch.sizes_px)
    for i, (box, label) in enumerate(zip(batch.boxes_xyxy.tolist(), batch.labels.tolist(), strict=True)):
        # The formula, from the original's pixels, in double precision.
        height, width = pictures[i].height, pictures[i].width
        scaled_height, scaled_width, top, left = placed(drawn[:, i], height, width, jitter)
        x1, y1, x2, y2 = boxes[i]
        if drawn[0, i] < 0.5:
            x1, x2 = width - x2, width - x1
        scale_x, scale_y = scaled_width / width, scaled_height / height
        moved = np.array([x1 * scale_x - left, y1 * scale_y - top, x2 * scale_x - left, y2 * scale_y - top])
        expected = moved.clip(0, SIZE)
        is_left = min(expected[2:] - expected[:2]) >= 1
        assert (label >= 0) == is_left
        assert box == pytest.approx(expected, abs=1e-5)

        # And where the pixels are more than half bright, to a pixel.
        rows, columns = np.nonzero(found[i][:, :, 0] > 127)
        if is_left and len(rows):
            seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert seen == pytest.approx(box, abs=1.0)
            num_seen += 1
    assert num_seen > 40


def test_each_image_of_a_batch_is_what_it_would_be_alone() -> None:
    pictures = [textured(*size, i) for i, size in enumerate([(150, 200), (64, 64), (40, 57)])]
    drawn = draw_augmentation(np.random.default_rng(5), 3)
    batch = augment_originals(originals(pictures), drawn, flip=True, jitter=(0.5, 2.0))
    for i, picture in enumerate(pictures):
        alone = augment_originals(originals([picture]), drawn[:, i : i + 1], flip=True, jitter=(0.5, 2.0))
        assert torch.equal(alone.images[0], batch.images[i])
        assert torch.equal(alone.boxes_xyxy[0], batch.boxes_xyxy[i])


def test_an_image_that_the_cache_has_shrunk_keeps_the_places_of_its_boxes(tmp_path: Path) -> None:
    # 401 px are shrunk to 96 of the cache, and those to 64: the box is scaled once, from the original.
    split = cached_split(write_pictures(tmp_path, [(401, 123)]), silent)
    drawn = draw_augmentation(np.random.default_rng(0), 1)
    batch = augment_originals(the_batch(split, 0), drawn, flip=False, jitter=(1.0, 1.0))
    height, width = fitted_size(123, 401, SIZE)
    assert batch.sizes_px.tolist() == [[height, width]]
    expected = np.array([1, 2, 201.5, 63.5]) * np.tile([width / 401, height / 123], 2)
    assert batch.boxes_xyxy[0].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.gpu
def test_a_gpu_scales_images_as_the_processor_does() -> None:
    pictures = [textured(*size, i) for i, size in enumerate([(150, 200), (64, 64), (40, 57), (900, 1200)])]
    drawn = draw_augmentation(np.random.default_rng(5), len(pictures))
    here = originals(pictures)
    names = ("pixels", "boxes_xyxy", "labels", "image")
    there = here._replace(**{name: getattr(here, name).cuda() for name in names})
    batches = [augment_originals(each, drawn, flip=True, jitter=(0.5, 2.0)) for each in (here, there)]
    for one, other in zip(*batches, strict=True):
        torch.testing.assert_close(one, other.cpu(), rtol=1e-4, atol=1e-4)
