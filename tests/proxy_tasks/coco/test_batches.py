import numpy as np
import pytest
import torch

from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.batches import MAX_BOXES, make_batch, normalise, split_held_out, training_rows
from proxy_tasks.coco.cache import CachedSplit


def split(num_boxes: list[int], crowd: bool = False) -> CachedSplit:
    total = sum(num_boxes)
    annotations = Annotations(
        image_ids=np.arange(len(num_boxes)),
        file_names=tuple(str(i) for i in range(len(num_boxes))),
        sizes_px=np.full((len(num_boxes), 2), 16),
        first_box=np.concatenate(([0], np.cumsum(num_boxes))),
        boxes_xyxy=np.tile([2.0, 4.0, 6.0, 8.0], (total, 1)),
        labels=np.arange(total) % 3,
        is_crowd=np.full(total, crowd),
        areas=np.full(total, 16.0),
        category_ids=(1, 2, 3),
        category_names=("a", "b", "c"),
        num_repaired=0,
    )
    images = np.arange(len(num_boxes) * 8 * 8 * 3, dtype=np.uint8).reshape(-1, 8, 8, 3)
    return CachedSplit(images, annotations, np.full(len(num_boxes), 0.5))


def test_a_batch_holds_the_images_and_their_scaled_boxes() -> None:
    batch = make_batch(split([2, 0, 1]), np.array([2, 0, 1]), torch.device("cpu"))
    assert batch.images.shape == (3, 3, 8, 8)
    assert batch.labels.tolist() == [[2, -1], [0, 1], [-1, -1]]
    assert batch.boxes_xyxy[1].tolist() == [[1, 2, 3, 4], [1, 2, 3, 4]]
    assert batch.boxes_xyxy[2].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0]]


def test_crowds_are_not_trained_on() -> None:
    batch = make_batch(split([3], crowd=True), np.array([0]), torch.device("cpu"))
    assert (batch.labels == -1).all()


def test_at_most_a_hundred_boxes_are_kept() -> None:
    batch = make_batch(split([150, 1]), np.array([0, 1]), torch.device("cpu"))
    assert batch.labels.shape == (2, MAX_BOXES)


def test_normalisation_is_that_of_imagenet_and_keeps_padding_at_zero() -> None:
    images = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    images[0, 0, 0] = torch.tensor([255, 128, 1])
    normal = normalise(images)
    # By hand: (1 - .485) / .229, (128 / 255 - .456) / .224, (1 / 255 - .406) / .225.
    assert normal[0, :, 0, 0].tolist() == pytest.approx([2.2489, 0.2052, -1.7870], abs=1e-4)
    assert (normal[0, :, 1] == 0).all()
    assert normal.is_contiguous(memory_format=torch.channels_last)


def test_held_out_images_are_never_trained_on_and_the_split_repeats() -> None:
    train, held_out = split_held_out(100, 20, seed=3)
    assert len(held_out) == 20
    assert sorted([*train, *held_out]) == list(range(100))
    again = split_held_out(100, 20, seed=3)
    assert np.array_equal(train, again[0])
    assert np.array_equal(held_out, again[1])
    assert not np.array_equal(held_out, split_held_out(100, 20, seed=4)[1])


@pytest.mark.parametrize("num_held_out", [0, 100, 101])
def test_a_split_without_training_or_scoring_images_is_refused(num_held_out: int) -> None:
    with pytest.raises(ValueError, match=f"num_held_out must leave .*: 1 to 99 of 100 images, got {num_held_out}"):
        split_held_out(100, num_held_out, seed=0)


def test_every_image_comes_once_before_any_comes_again() -> None:
    rows = np.arange(10, 20)
    batches = list(training_rows(rows, batch_size=4, num_steps=5, seed=1))
    assert [len(batch) for batch in batches] == [4] * 5
    drawn = np.concatenate(batches)
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(rows)
    assert list(drawn[:10]) != list(drawn[10:])


def test_batches_larger_than_the_data_repeat_images() -> None:
    (batch,) = training_rows(np.arange(3), batch_size=8, num_steps=1, seed=0)
    assert len(batch) == 8
    assert set(batch) == {0, 1, 2}
