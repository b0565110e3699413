import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_tasks.coco.augment import augment
from proxy_tasks.coco.batches import Batch

SIZE = 32


def batch(num_images: int, seed: int = 0) -> Batch:
    """Images that are dark but for the pixels of one box each."""
    rng = np.random.default_rng(seed)
    images = torch.zeros(num_images, 3, SIZE, SIZE)
    boxes = torch.zeros(num_images, 2, 4)
    labels = torch.full((num_images, 2), -1)
    for i in range(num_images):
        x1, y1 = rng.integers(0, SIZE - 12, size=2)
        x2, y2 = x1 + rng.integers(6, 12), y1 + rng.integers(6, 12)
        images[i, :, y1:y2, x1:x2] = 1.0
        boxes[i, 0] = torch.tensor([x1, y1, x2, y2])
        labels[i, 0] = i % 3
    return Batch(images, boxes, labels)


def bright_box(image: torch.Tensor) -> list[float]:
    ys, xs = torch.nonzero(image[0] > 0.5, as_tuple=True)
    return [float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)]


@given(seed=st.integers(0, 2**31), low=st.floats(0.5, 1.0), high=st.floats(1.0, 2.0), flip=st.booleans())
@settings(max_examples=40, deadline=None)
def test_boxes_follow_the_pixels(seed: int, low: float, high: float, flip: bool) -> None:
    before = batch(6, seed)
    after = augment(before, torch.Generator().manual_seed(seed), flip=flip, jitter=(low, high))
    assert after.images.shape == before.images.shape
    for image, box, label in zip(after.images, after.boxes_xyxy[:, 0], after.labels[:, 0], strict=True):
        if label >= 0 and (image[0] > 0.5).any():
            # Half-bright edge pixels round to a whole one: up to a pixel of difference at each side.
            assert bright_box(image) == pytest.approx(box.tolist(), abs=1.0)


def test_flip_mirrors_pixels_and_boxes_exactly_in_about_half_of_the_images() -> None:
    before = batch(200)
    after = augment(before, torch.Generator().manual_seed(0), flip=True, jitter=(1.0, 1.0))
    num_flipped = 0
    for i in range(200):
        assert bright_box(after.images[i]) == after.boxes_xyxy[i, 0].tolist()
        num_flipped += not torch.equal(after.images[i], before.images[i])
    # 100 expected, standard deviation 7.
    assert 70 < num_flipped < 130


def test_nothing_changes_without_flip_and_jitter() -> None:
    before = batch(4)
    after = augment(before, torch.Generator().manual_seed(0), flip=False, jitter=(1.0, 1.0))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_boxes_cropped_away_are_dropped() -> None:
    before = batch(64)
    after = augment(before, torch.Generator().manual_seed(0), flip=False, jitter=(4.0, 4.0))
    is_gone = after.labels[:, 0] < 0
    assert 0 < is_gone.sum() < 64
    assert (after.boxes_xyxy[is_gone] == 0).all()
    left = after.boxes_xyxy[~is_gone, 0]
    assert ((left[:, 2:] - left[:, :2]) >= 1).all()
    assert (left >= 0).all()
    assert (left <= SIZE).all()


def test_the_same_generator_gives_the_same_batch() -> None:
    first, second = (
        augment(batch(8), torch.Generator().manual_seed(3), flip=True, jitter=(0.8, 1.2)) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
