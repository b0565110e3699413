import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.augment import augment, draw_augmentation

SIZE = 32


def whole(num_images: int) -> torch.Tensor:
    return torch.full((num_images, 2), float(SIZE))


def padded(num_images: int, height: int, width: int) -> Batch:
    """Noise of a size that leaves a part of the square as padding, with a box around each image."""
    images = torch.zeros(num_images, 3, SIZE, SIZE)
    generator = torch.Generator().manual_seed(0)
    images[:, :, :height, :width] = 1 + torch.rand(num_images, 3, height, width, generator=generator)
    boxes = torch.tensor([[0.0, 0.0, width, height]]).repeat(num_images, 1)
    sizes_px = torch.tensor([[float(height), float(width)]]).repeat(num_images, 1)
    return Batch(images, sizes_px, boxes, torch.zeros(num_images, dtype=torch.long), torch.arange(num_images))


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


def noise(seed: int) -> Batch:
    """A square, a wide and a high image of noise, with three boxes each."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(3, 3, SIZE, SIZE, generator=generator)
    images[1, :, 11:] = 0
    images[2, :, :, 25:] = 0
    sizes_px = torch.tensor([[SIZE, SIZE], [11.0, SIZE], [SIZE, 25.0]])
    image = torch.arange(3).repeat(3)
    corner, side = (torch.rand(9, 2, generator=generator) * share for share in (0.7, 0.3))
    boxes = torch.cat((corner, corner + side), dim=1) * sizes_px.flip(-1).repeat(1, 2)[image]
    return Batch(images, sizes_px, boxes, torch.ones(9, dtype=torch.long), image)


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
        height, width = (int(side) for side in given_batch.sizes_px[i])
        is_flipped = draws[0, i] < 0.5
        if is_flipped:
            image = np.concatenate((image[:, :, :width][:, :, ::-1], image[:, :, width:]), axis=2)
        factor = float(jitter[0] + (jitter[1] - jitter[0]) * draws[1, i])
        left = float(draws[2, i]) * max(width * factor - SIZE, 0)
        top = float(draws[3, i]) * max(height * factor - SIZE, 0)
        for row in range(SIZE):
            for column in range(SIZE):
                x, y = (column + 0.5 + left) / factor, (row + 0.5 + top) / factor
                images[i, :, row, column] = slow_pixel(image, x, y)
        for n in torch.nonzero(given_batch.image == i)[:, 0].tolist():
            x1, y1, x2, y2 = given_batch.boxes_xyxy[n].tolist()
            if is_flipped:
                x1, x2 = width - x2, width - x1
            moved = [x1 * factor - left, y1 * factor - top, x2 * factor - left, y2 * factor - top]
            x1, y1, x2, y2 = (min(max(value, 0), SIZE) for value in moved)
            boxes[n] = [x1, y1, x2, y2] if min(x2 - x1, y2 - y1) >= 1 else []
    return images, boxes


@pytest.mark.parametrize("jitter", [(0.8, 1.2), (0.5, 0.6), (1.9, 2.0)])
def test_a_batch_is_augmented_as_one_image_after_the_other_would_be(jitter: tuple[float, float]) -> None:
    given_batch = noise(seed=4)
    after = augmented(given_batch, 2, flip=True, jitter=jitter)
    images, boxes = slow_augment(given_batch, 2, jitter)
    # Float32 coordinates up to 32 px: the position of a sample is off by up to 1e-5 px, between values of about 1.
    assert np.abs(after.images.numpy() - images).max() < 1e-4
    assert [box for box in boxes if box]
    for box, label, expected in zip(after.boxes_xyxy.tolist(), after.labels.tolist(), boxes, strict=True):
        assert (label >= 0) == bool(expected)
        if expected:
            assert box == pytest.approx(expected, abs=1e-4)


def augmented(given_batch: Batch, seed: int, *, flip: bool, jitter: tuple[float, float]) -> Batch:
    drawn = draw_augmentation(np.random.default_rng(seed), len(given_batch.images))
    return augment(given_batch, drawn, flip=flip, jitter=jitter)


def bright_box(image: torch.Tensor) -> list[float]:
    ys, xs = torch.nonzero(image[0] > 0.5, as_tuple=True)
    return [float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)]


@given(seed=st.integers(0, 2**31), low=st.floats(0.5, 1.0), high=st.floats(1.0, 2.0), flip=st.booleans())
@settings(max_examples=40)
def test_boxes_follow_the_pixels(seed: int, low: float, high: float, flip: bool) -> None:
    before = batch(6, seed)
    after = augmented(before, seed, flip=flip, jitter=(low, high))
    assert after.images.shape == before.images.shape
    for image, box, label in zip(after.images, after.boxes_xyxy, after.labels, strict=True):
        if label >= 0 and (image[0] > 0.5).any():
            # Half-bright edge pixels round to a whole one: up to a pixel of difference at each side.
            assert bright_box(image) == pytest.approx(box.tolist(), abs=1.0)


def test_flip_mirrors_pixels_and_boxes_exactly_in_about_half_of_the_images() -> None:
    before = batch(200)
    after = augmented(before, 0, flip=True, jitter=(1.0, 1.0))
    # The first of the four numbers that are drawn for each image decides.
    is_flipped = np.random.default_rng(0).random((4, 200), dtype=np.float32)[0] < 0.5
    for i in range(200):
        assert torch.equal(after.images[i], before.images[i].flip(-1) if is_flipped[i] else before.images[i])
        assert bright_box(after.images[i]) == after.boxes_xyxy[i].tolist()
    assert 70 < is_flipped.sum() < 130


@pytest.mark.parametrize(("height", "width"), [(SIZE, 13), (9, SIZE), (SIZE, SIZE)])
@pytest.mark.parametrize("jitter", [(1.0, 1.0), (1.0, 1.0 + 1e-7)])
def test_a_mirrored_image_keeps_its_padding_right_and_below(
    height: int, width: int, jitter: tuple[float, float]
) -> None:
    before = padded(20, height, width)
    after = augmented(before, 0, flip=True, jitter=jitter)
    mirrored = torch.zeros_like(before.images)
    mirrored[:, :, :height, :width] = before.images[:, :, :height, :width].flip(3)
    # The jitter of next to nothing takes the way of resampling, which is off by up to 1e-5 px.
    is_mirrored = ((after.images - mirrored).abs() < 1e-4).flatten(1).all(1)  # (B,)
    is_same = ((after.images - before.images).abs() < 1e-4).flatten(1).all(1)  # (B,)
    assert 0 < is_mirrored.sum() < 20
    assert (is_mirrored ^ is_same).all()
    assert torch.allclose(after.boxes_xyxy, before.boxes_xyxy, atol=1e-4)


def test_the_crop_of_a_wide_image_never_lies_beside_it() -> None:
    # Up to twice as large the image has 12 to 24 of 32 rows: it keeps the top, and is cropped in its width alone.
    before = padded(40, 12, SIZE)
    after = augmented(before, 0, flip=False, jitter=(1.0, 2.0))
    assert (after.labels == 0).all()
    assert (after.boxes_xyxy[:, 1] == 0).all()
    assert (after.boxes_xyxy[:, 3] >= 12).all()
    assert torch.allclose(after.sizes_px[:, 0], after.boxes_xyxy[:, 3], atol=1e-4)
    assert (after.sizes_px[:, 1] == SIZE).all()
    assert (after.images[:, :, 0, SIZE // 2] > 0.5).all()


def reference_keeps(boxes: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """(N,) whether boxes of one image survive a jitter of 0.5 to 2, by tensorflow/tpu utils/input_utils.py in words.

    The longer side becomes the target size times a random factor, both sides are rounded, and the crop begins at a
    random whole pixel of what exceeds the target size on each axis.
    """
    target = round(rng.uniform(0.5, 2.0) * SIZE)
    scale = min(target / height, target / width)
    scaled = np.round([width * scale, height * scale])
    offset = np.floor(np.maximum(scaled - SIZE, 0) * rng.random(2))
    moved = boxes * np.tile(scaled / [width, height], 2) - np.tile(offset, 2)
    clipped = moved.clip(0, SIZE)
    is_kept: np.ndarray = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    return is_kept


@pytest.mark.parametrize(("share", "lost"), [(0.3, 0.02), (0.1, 0.12)])
def test_jitter_keeps_as_many_objects_of_a_wide_image_as_the_reference(share: float, lost: float) -> None:
    # Pictures of 5 to 1, with objects of a share of their width and as high as they are.
    num_images, height = 2000, SIZE // 5
    left = np.random.default_rng(0).uniform(0, SIZE * (1 - share), num_images)
    boxes = np.stack((left, np.zeros_like(left), left + SIZE * share, np.full_like(left, height)), axis=1)
    before = padded(num_images, height, SIZE)._replace(boxes_xyxy=torch.from_numpy(boxes.astype(np.float32)))
    after = augmented(before, 1, flip=True, jitter=(0.5, 2.0))

    rng = np.random.default_rng(2)
    of_reference = [not reference_keeps(box[None], height, SIZE, rng)[0] for box in boxes]
    # Two samples of 2000: a deviation of 0.003 and 0.007 each.
    assert np.mean(of_reference) == pytest.approx(lost, abs=0.03)
    assert (after.labels < 0).float().mean().item() == pytest.approx(np.mean(of_reference), abs=0.03)


def test_nothing_changes_without_flip_and_jitter() -> None:
    before = batch(4)
    after = augmented(before, 0, flip=False, jitter=(1.0, 1.0))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_boxes_cropped_away_are_dropped() -> None:
    after = augmented(batch(64), 0, flip=False, jitter=(4.0, 4.0))
    is_gone = after.labels < 0
    assert 0 < is_gone.sum() < 64
    left = after.boxes_xyxy[~is_gone]
    assert ((left[:, 2:] - left[:, :2]) >= 1).all()
    assert (left >= 0).all()
    assert (left <= SIZE).all()


def test_the_same_generator_gives_the_same_batch() -> None:
    first, second = (augmented(batch(8), 3, flip=True, jitter=(0.8, 1.2)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
