import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from proxy_tasks.base import silent
from proxy_tasks.coco.annotations import MAX_BOXES, Annotations, num_beyond_bound
from proxy_tasks.coco.batches import Batch, load_batches, normalise, training_rows
from proxy_tasks.coco.cache import CachedSplit, cached_split
from proxy_tasks.coco.cache_files import SplitContent
from tests.proxy_tasks.coco.test_cache import write_coco

CPU = torch.device("cpu")


class Gradient:
    """Images of which each holds its own number everywhere."""

    def read(self, rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        out[:] = rows[:, None, None, None] + 1


class Unreadable:
    """A disk that fails."""

    def read(self, rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        raise OSError("the disk is gone")


def split(num_boxes: list[int], crowd: bool = False) -> CachedSplit:
    total = sum(num_boxes)
    annotations = Annotations(
        image_ids=np.arange(len(num_boxes)),
        file_names=tuple(str(i) for i in range(len(num_boxes))),
        sizes_px=np.full((len(num_boxes), 2), 16),
        first_box=np.concatenate(([0], np.cumsum(num_boxes))),
        boxes_xywh=np.tile([2.0, 4.0, 4.0, 4.0], (total, 1)),
        boxes_xyxy=np.tile([2.0, 4.0, 6.0, 8.0], (total, 1)),
        labels=np.arange(total) % 3,
        is_crowd=np.full(total, crowd),
        areas=np.full(total, 16.0),
        category_ids=(1, 2, 3),
        category_names=("a", "b", "c"),
        repairs={},
    )
    num_images = len(num_boxes)
    return CachedSplit(
        images=Gradient(),
        annotations=annotations,
        listed_ids=annotations.image_ids,
        scales_xy=np.full((num_images, 2), 0.5),
        sizes_px=np.full((num_images, 2), 8),
        image_size_px=8,
        content=SplitContent("", ""),
        path=Path(),
        left_out={},
        bad={},
        bad_list=Path(),
    )


def load(loaded: CachedSplit, *rows: int) -> Batch:
    (batch,) = load_batches(loaded, [np.array(rows)], CPU)
    return batch


def test_a_batch_holds_the_images_and_their_scaled_boxes() -> None:
    batch = load(split([2, 0, 1]), 2, 0, 1)
    assert batch.images.shape == (3, 3, 8, 8)
    expected = [
        normalise(torch.full((1, 8, 8, 3), row + 1, dtype=torch.uint8), torch.tensor([[8, 8]])) for row in (2, 0, 1)
    ]
    assert torch.equal(batch.images, torch.cat(expected))
    assert batch.image.tolist() == [0, 1, 1]
    assert batch.labels.tolist() == [2, 0, 1]
    assert batch.boxes_xyxy.tolist() == [[1, 2, 3, 4]] * 3


def test_a_box_that_fills_an_image_of_rounded_size_fills_its_pixels() -> None:
    # 61 * 128 / 403 = 19.37 is rounded to 19 px: under the long side's scale the box would leave the image.
    wide = split([1])
    wide.annotations.boxes_xyxy[0] = [0, 0, 403, 61]
    wide.sizes_px[0], wide.scales_xy[0] = (19, 128), (128 / 403, 19 / 61)
    batch = load(wide, 0)
    assert batch.boxes_xyxy.tolist() == [[0, 0, 128, 19]]
    assert batch.sizes_px.tolist() == [[19, 128]]


def test_boxes_without_area_in_their_image_are_not_trained_on() -> None:
    with_empty = split([3, 1])
    with_empty.annotations.boxes_xyxy[1, 2] = 2.0
    batch = load(with_empty, 0, 1)
    assert batch.labels.tolist() == [0, 2, 0]
    assert batch.image.tolist() == [0, 0, 1]


def test_crowds_are_not_trained_on() -> None:
    batch = load(split([3], crowd=True), 0)
    assert batch.labels.tolist() == [-1]


def test_all_147_boxes_of_a_full_image_are_trained_on() -> None:
    batch = load(split([147, 1]), 0, 1)
    assert torch.bincount(batch.image).tolist() == [147, 1]


def test_boxes_beyond_the_bound_are_left_out_and_counted() -> None:
    full = split([MAX_BOXES + 5, 1])
    assert torch.bincount(load(full, 0, 1).image).tolist() == [MAX_BOXES, 1]
    assert num_beyond_bound(full.annotations, np.array([0, 1])) == 5
    assert num_beyond_bound(full.annotations, np.array([1])) == 0
    assert num_beyond_bound(split([MAX_BOXES + 5], crowd=True).annotations, np.array([0])) == 0


def of_one_image_after_another(annotations: Annotations, rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return each box that is trained on with the index of its image, as a loop over boxes finds them."""
    found: list[tuple[int, int]] = []
    for i, row in enumerate(rows):
        kept = [
            box
            for box in range(annotations.first_box[row], annotations.first_box[row + 1])
            if (annotations.boxes_xyxy[box, 2:] > annotations.boxes_xyxy[box, :2]).all()
            and not annotations.is_crowd[box]
        ]
        found += [(box, i) for box in kept[:MAX_BOXES]]
    return found


def test_boxes_of_all_images_at_once_are_those_of_one_after_another() -> None:
    rng = np.random.default_rng(0)
    num_boxes = [0, MAX_BOXES + 300, 0, 1, *rng.integers(0, 9, 40).tolist(), 0]
    annotations = split(num_boxes).annotations
    annotations.is_crowd[:] = rng.random(sum(num_boxes)) < 0.2
    annotations.boxes_xyxy[rng.random(sum(num_boxes)) < 0.2, 3] = 0

    for rows in (rng.permutation(len(num_boxes)), np.array([1, 1, 0]), np.array([0, 2])):
        boxes, image = annotations.boxes_to_train_on(rows)
        assert list(zip(boxes.tolist(), image.tolist(), strict=True)) == of_one_image_after_another(annotations, rows)


def test_batches_come_in_order_and_all_of_them() -> None:
    steps = [np.array([step % 3, (step + 1) % 3]) for step in range(20)]
    batches = list(load_batches(split([1, 1, 1]), steps, CPU))
    assert [batch.labels.tolist() for batch in batches] == [step.tolist() for step in steps]


def test_an_error_while_reading_ahead_reaches_the_reader() -> None:
    broken = split([1, 1])
    object.__setattr__(broken, "images", Unreadable())
    with pytest.raises(OSError, match="the disk is gone"):
        load(broken, 0)


def test_a_loader_that_is_not_used_up_ends() -> None:
    batches = load_batches(split([1]), (np.array([0]) for _ in range(10**9)), CPU)
    next(batches)
    batches.close()  # type: ignore[attr-defined]  # it is a generator
    assert not list(batches)


def test_normalisation_is_that_of_imagenet_and_keeps_padding_at_zero() -> None:
    images = torch.zeros(2, 2, 2, 3, dtype=torch.uint8)
    images[:, 0, 0] = torch.tensor([255, 128, 1])
    wide, high = normalise(images, torch.tensor([[1, 2], [2, 1]]))
    # By hand: (1 - .485) / .229, (128 / 255 - .456) / .224, (1 / 255 - .406) / .225.
    assert wide[:, 0, 0].tolist() == pytest.approx([2.2489, 0.2052, -1.7870], abs=1e-4)
    # Black is a colour, padding is none: -.485 / .229 and so on.
    black = pytest.approx([-2.1179, -2.0357, -1.8044], abs=1e-4)
    assert wide[:, 0, 1].tolist() == black
    assert high[:, 1, 0].tolist() == black
    assert (wide[:, 1] == 0).all()
    assert (high[:, :, 1] == 0).all()
    assert normalise(images, torch.tensor([[2, 2], [2, 2]])).is_contiguous(memory_format=torch.channels_last)


def test_every_image_comes_once_before_any_comes_again() -> None:
    rows = np.arange(10, 20)
    batches = list(training_rows(rows, batch_size=4, num_steps=5, seed=1))
    assert [len(batch) for batch in batches] == [4] * 5
    drawn = np.concatenate(batches)
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(rows)
    assert list(drawn[:10]) != list(drawn[10:])


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    rows = np.arange(12)
    small = np.concatenate(list(training_rows(rows, 4, 6, seed=1)))
    large = np.concatenate(list(training_rows(rows, 8, 3, seed=1)))
    assert small.tolist() == large.tolist()
    assert small.tolist() != np.concatenate(list(training_rows(rows, 4, 6, seed=2))).tolist()


def test_batches_larger_than_the_data_repeat_images() -> None:
    (batch,) = training_rows(np.arange(3), batch_size=8, num_steps=1, seed=0)
    assert len(batch) == 8
    assert set(batch) == {0, 1, 2}


@pytest.mark.gpu
def test_batches_on_a_gpu_are_those_on_the_processor() -> None:
    steps = [np.array([step % 3, (step + 1) % 3]) for step in range(20)]
    on_cpu = load_batches(split([2, 0, 1]), steps, CPU)
    on_gpu = load_batches(split([2, 0, 1]), steps, torch.device("cuda"))
    for expected, batch in zip(on_cpu, on_gpu, strict=True):
        for one, other in zip(expected, batch, strict=True):
            # One rounding of products that the two devices may join with the sum or not.
            torch.testing.assert_close(one, other.cpu(), rtol=1e-6, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:.*TorchCodec:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*TorchCodec:UserWarning")
def test_jpegs_are_decoded_on_a_gpu_as_on_the_processor(tmp_path: Path) -> None:
    key = dataclasses.replace(write_coco(tmp_path, [(64, 48)] * 12), image_format="jpeg")
    jpegs = cached_split(key, silent)
    steps = [np.arange(i, i + 4) for i in (0, 4, 8)]
    on_cpu = load_batches(jpegs, steps, CPU)
    on_gpu = load_batches(jpegs, steps, torch.device("cuda"))
    for expected, batch in zip(on_cpu, on_gpu, strict=True):
        # Decoders round differently: by up to three of 256 levels, of which 57 make one deviation.
        assert (expected.images - batch.images.cpu()).abs().max() < 0.06
