"""Training samples to look at: pixels and boxes are those of the files, mirrored or not, and padding is black."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from proxy_tasks import silent
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection.task import DetectionProxy
from proxy_tasks.training.recipe import Recipe
from proxy_tasks.training_sample import TrainingSample
from search_space import ModelScale

HEIGHT_PX = 40


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> DetectionProxy:
    """The task on 12 images of 64 x 40 pixels, 8 of them to train on, without any augmentation."""
    root = tmp_path_factory.mktemp("data")
    Shapes(root / "coco", num_train_images=12, num_val_images=1, image_size_px=64, num_held_out=4).folder(silent)
    path = root / "coco" / "annotations" / "instances_train2017.json"
    document = json.loads(path.read_text())
    for image in document["images"]:
        image["height"] = HEIGHT_PX
        file = root / "coco" / "train2017" / image["file_name"]
        Image.open(file).crop((0, 0, 64, HEIGHT_PX)).save(file, quality=100)
    for annotation in document["annotations"]:
        left, top, width, height = annotation["bbox"]
        bottom = min(top + height, HEIGHT_PX)
        annotation["bbox"] = [left, min(top, HEIGHT_PX - 2), width, max(bottom - top, 2)]
    path.write_text(json.dumps(document))

    scale = ModelScale(image_size_px=64, width_multiplier=0.0625, endpoint_width=8, head_width=8, num_head_convs=1)
    data = CocoFolder(root / "coco", num_held_out=4)
    task = DetectionProxy(data, scale, Recipe(batch_size=4, flip=False, jitter=(1, 1)), cache_dir=root / "cache")
    task.prepare(silent)
    return task


def mirrored(sample: TrainingSample) -> TrainingSample:
    left, top, right, bottom = sample.boxes_xyxy.T
    boxes_xyxy = np.stack((64 - right, top, 64 - left, bottom), axis=-1)
    return replace(sample, pixels=sample.pixels[:, ::-1], boxes_xyxy=boxes_xyxy)


def equal(first: TrainingSample, second: TrainingSample) -> bool:
    # Resampling and normalisation are undone to the next level.
    near = np.abs(first.pixels.astype(int) - second.pixels).max() <= 1
    return bool(near) and np.allclose(first.boxes_xyxy, second.boxes_xyxy) and first.names == second.names


def test_samples_hold_what_the_files_hold(task: DetectionProxy) -> None:
    samples = task.training_samples(16, seed=0)
    assert len(samples) == 8

    root = task.data.folder(silent).paths("train")[1]
    document = json.loads((root.parent / "annotations" / "instances_train2017.json").read_text())
    names = {category["id"]: category["name"] for category in document["categories"]}
    pictures = {image["id"]: np.asarray(Image.open(root / image["file_name"])) for image in document["images"]}
    for sample in samples:
        assert not sample.pixels[HEIGHT_PX:].any()
        number = min(pictures, key=lambda i: np.abs(pictures[i] - sample.pixels[:HEIGHT_PX].astype(int)).max())
        assert np.abs(pictures[number] - sample.pixels[:HEIGHT_PX].astype(int)).max() <= 2

        own = [one for one in document["annotations"] if one["image_id"] == number]
        boxes_xywh = np.array([one["bbox"] for one in own])
        order = np.lexsort(sample.boxes_xyxy.T), np.lexsort((boxes_xywh + np.roll(boxes_xywh, 2, 1) * [0, 0, 1, 1]).T)
        corners = np.concatenate((boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]), axis=1)
        assert np.allclose(sample.boxes_xyxy[order[0]], corners[order[1]])
        assert sorted(sample.names) == sorted(names[one["category_id"]] for one in own)


def test_flipped_samples_are_mirrored_with_their_boxes(task: DetectionProxy) -> None:
    plain = task.training_samples(8, seed=3)
    flipped = replace(task, recipe=replace(task.recipe, flip=True)).training_samples(8, seed=3)
    is_same = [equal(a, b) for a, b in zip(plain, flipped, strict=True)]
    is_mirrored = [equal(mirrored(a), b) for a, b in zip(plain, flipped, strict=True)]
    assert all(a != b for a, b in zip(is_same, is_mirrored, strict=True))
    assert 0 < sum(is_mirrored) < 8


def test_another_seed_shows_other_images_first(task: DetectionProxy) -> None:
    first, second = (task.training_samples(1, seed=seed)[0] for seed in (0, 1))
    assert not equal(first, second)
