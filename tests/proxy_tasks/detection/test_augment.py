import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.augment import augment

SIZE = 32


def whole(num_images: int) -> torch.Tensor:
    return torch.full((num_images, 2), float(SIZE))


def batch(num_images: int, seed: int = 0) -> Batch:
    """Images that are dark but for the pixels of one box each."""
    rng = np.random.default_rng(seed)
    images = torch.zeros(num_images, 3, SIZE, SIZE)
    boxes = torch.zeros(num_images, 4)
    for i in range(num_images):
        x1, y1 = rng.integers(0, SIZE - 12, size=2)
        x2, y2 = x1 + rng.integers(6, 12), y1 + rng.integers(6, 12)
        images[i, :, y1:y2, x1:x2] = 1.0
        boxes[i] = torch.tensor([x1, y1, x2, y2])
    return Batch(images, whole(num_images), boxes, torch.arange(num_images) % 3, torch.arange(num_images))


def noise(num_images: int, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(3 * num_images, 2, generator=generator) * SIZE * 0.7
    boxes = torch.cat((corner, corner + torch.rand(3 * num_images, 2, generator=generator) * SIZE * 0.3), dim=1)
    images = torch.randn(num_images, 3, SIZE, SIZE, generator=generator)
    return Batch(
        images,
        whole(num_images),
        boxes,
        torch.ones(3 * num_images, dtype=torch.long),
        torch.arange(num_images).repeat(3),
    )


def slow_pixel(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """Bilinear interpolation between the four pixels around (x, y), in pixels from the corner; zero outside."""
    value = np.zeros(3)
    left, top = math.floor(x - 0.5), math.floor(y - 0.5)
    for column in (left, left + 1):
        for row in (top, top + 1):
            if 0 <= column < SIZE and 0 <= row < SIZE:
                weight = (1 - abs(x - 0.5 - column)) * (1 - abs(y - 0.5 - row))
                value += weight * image[:, row, column]
    return value


def slow_augment(given_batch: Batch, seed: int, jitter: tuple[float, float]) -> tuple[np.ndarray, list[list[float]]]:
    """The rule in words, an image, a pixel and a box at a time, from the same draws."""
    num_images = len(given_batch.images)
    draws = np.random.default_rng(seed).random((4, num_images), dtype=np.float32)
    images = np.zeros((num_images, 3, SIZE, SIZE))
    boxes: list[list[float]] = [[]] * len(given_batch.boxes_xyxy)
    for i in range(num_images):
        image = given_batch.images[i].numpy()
        is_flipped = draws[0, i] < 0.5
        if is_flipped:
            image = image[:, :, ::-1]
        factor = float(jitter[0] + (jitter[1] - jitter[0]) * draws[1, i])
        left, top = (float(draw) * max(SIZE * factor - SIZE, 0) for draw in draws[2:, i])
        for row in range(SIZE):
            for column in range(SIZE):
                x, y = (column + 0.5 + left) / factor, (row + 0.5 + top) / factor
                images[i, :, row, column] = slow_pixel(image, x, y)
        for n in torch.nonzero(given_batch.image == i)[:, 0].tolist():
            x1, y1, x2, y2 = given_batch.boxes_xyxy[n].tolist()
            if is_flipped:
                x1, x2 = SIZE - x2, SIZE - x1
            moved = [x1 * factor - left, y1 * factor - top, x2 * factor - left, y2 * factor - top]
            x1, y1, x2, y2 = (min(max(value, 0), SIZE) for value in moved)
            boxes[n] = [x1, y1, x2, y2] if min(x2 - x1, y2 - y1) >= 1 else []
    return images, boxes


@pytest.mark.parametrize("jitter", [(0.8, 1.2), (0.5, 0.6), (1.9, 2.0)])
def test_a_batch_is_augmented_as_one_image_after_the_other_would_be(jitter: tuple[float, float]) -> None:
    given_batch = noise(3, seed=4)
    after = augment(given_batch, np.random.default_rng(5), flip=True, jitter=jitter)
    images, boxes = slow_augment(given_batch, 5, jitter)
    # Float32 coordinates up to 32 px: the position of a sample is off by up to 1e-5 px, between values of about 1.
    assert np.abs(after.images.numpy() - images).max() < 1e-4
    assert [box for box in boxes if box]
    for box, label, expected in zip(after.boxes_xyxy.tolist(), after.labels.tolist(), boxes, strict=True):
        assert (label >= 0) == bool(expected)
        if expected:
            assert box == pytest.approx(expected, abs=1e-4)


def bright_box(image: torch.Tensor) -> list[float]:
    ys, xs = torch.nonzero(image[0] > 0.5, as_tuple=True)
    return [float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)]


@given(seed=st.integers(0, 2**31), low=st.floats(0.5, 1.0), high=st.floats(1.0, 2.0), flip=st.booleans())
@settings(max_examples=40, deadline=None)
def test_boxes_follow_the_pixels(seed: int, low: float, high: float, flip: bool) -> None:
    before = batch(6, seed)
    after = augment(before, np.random.default_rng(seed), flip=flip, jitter=(low, high))
    assert after.images.shape == before.images.shape
    for image, box, label in zip(after.images, after.boxes_xyxy, after.labels, strict=True):
        if label >= 0 and (image[0] > 0.5).any():
            # Half-bright edge pixels round to a whole one: up to a pixel of difference at each side.
            assert bright_box(image) == pytest.approx(box.tolist(), abs=1.0)


def test_flip_mirrors_pixels_and_boxes_exactly_in_about_half_of_the_images() -> None:
    before = batch(200)
    after = augment(before, np.random.default_rng(0), flip=True, jitter=(1.0, 1.0))
    num_flipped = 0
    for i in range(200):
        assert bright_box(after.images[i]) == after.boxes_xyxy[i].tolist()
        num_flipped += not torch.equal(after.images[i], before.images[i])
    # 100 expected, standard deviation 7.
    assert 70 < num_flipped < 130


def test_nothing_changes_without_flip_and_jitter() -> None:
    before = batch(4)
    after = augment(before, np.random.default_rng(0), flip=False, jitter=(1.0, 1.0))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_boxes_cropped_away_are_dropped() -> None:
    after = augment(batch(64), np.random.default_rng(0), flip=False, jitter=(4.0, 4.0))
    is_gone = after.labels < 0
    assert 0 < is_gone.sum() < 64
    left = after.boxes_xyxy[~is_gone]
    assert ((left[:, 2:] - left[:, :2]) >= 1).all()
    assert (left >= 0).all()
    assert (left <= SIZE).all()


def test_the_same_generator_gives_the_same_batch() -> None:
    first, second = (augment(batch(8), np.random.default_rng(3), flip=True, jitter=(0.8, 1.2)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
