"""Images by class: what is listed is what torchvision lists, what is bad is counted or one line."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder as TorchvisionFolder

from foundation import InputError
from proxy_tasks.base import silent
from proxy_tasks.classification.class_labels import labels_of
from proxy_tasks.classification.class_shapes import CLASS_SHAPES, ClassShapes
from proxy_tasks.classification.image_folder import ImageFolder
from proxy_tasks.classification.inaturalist import INaturalist
from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.coco.native_images import Native
from proxy_tasks.coco.open_data import Data, DataOptions, OpenData, open_data, prepare_data
from proxy_tasks.coco.shapes import Shapes


def draw(root: Path, *names: str) -> None:
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / name)


def a_folder(root: Path) -> ImageFolder:
    train = ("train/cat/b.JPEG", "train/cat/a.png", "train/cat/deep/c.jpg", "train/ant/z.jpg", "train/bee/y.jpg")
    draw(root, *train, "val/bee/v.jpg", "val/ant/w.jpg")
    (root / "train" / "ant" / "notes.txt").write_text("no image")
    return ImageFolder(root, lists_dir=root / "lists", num_held_out=1)


def options(data: Data, cache_dir: Path) -> DataOptions:
    return DataOptions(data, 32, "val", "dense", cache_dir, Native(1280), None)


def opened(data: Data, cache_dir: Path) -> OpenData:
    prepare_data(options(data, cache_dir), silent)
    return open_data(options(data, cache_dir))


def pairs(split: CachedSplit, root: Path) -> list[tuple[str, int]]:
    labels = labels_of(split.annotations, "it").tolist()
    return [(str(root / name), label) for name, label in zip(split.annotations.file_names, labels, strict=True)]


def test_images_and_classes_are_those_that_torchvision_finds(tmp_path: Path) -> None:
    data = opened(a_folder(tmp_path), tmp_path / "cache")
    peer = TorchvisionFolder(str(tmp_path / "train"))
    assert sorted(pairs(data.train, tmp_path / "train")) == sorted(peer.samples)
    assert list(data.train.annotations.category_names) == peer.classes == ["ant", "bee", "cat"]
    # The validation images lack a class; the others keep their numbers.
    assert data.val is not None
    assert pairs(data.val, tmp_path / "val") == [
        (str(tmp_path / "val/ant/w.jpg"), 0),
        (str(tmp_path / "val/bee/v.jpg"), 1),
    ]


def test_an_unreadable_image_is_left_out_and_counted_and_a_repaired_one_is_taken_again(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    whole = (tmp_path / "train" / "cat" / "b.JPEG").read_bytes()
    (tmp_path / "train" / "cat" / "b.JPEG").write_bytes(whole[:50])
    lines = prepare_data(options(folder, tmp_path / "cache"), silent)
    assert any(line.startswith("train: 4 images") for line in lines)
    assert "  1 of 5 images are bad" in lines
    (tmp_path / "train" / "cat" / "b.JPEG").write_bytes(whole)
    assert opened(folder, tmp_path / "cache").train.annotations.num_images == 5


def without_images(root: Path) -> None:
    (root / "train" / "empty").mkdir()


def of_one_class(root: Path) -> None:
    (root / "train" / "bee" / "y.jpg").rename(root / "y.jpg")
    (root / "train" / "bee").rmdir()
    for path in (root / "train" / "ant").iterdir():
        path.rename(root / path.name)
    (root / "train" / "ant").rmdir()


def with_another_class(root: Path) -> None:
    draw(root, "val/dog/d.jpg")


def with_a_link_to_itself(root: Path) -> None:
    (root / "train" / "cat" / "again").symlink_to(root / "train" / "cat")


def with_two_unreadable(root: Path) -> None:
    for name in ("b.JPEG", "a.png"):
        (root / "train" / "cat" / name).write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_images, "train/empty has no images (1 of 4 classes have none): fill it, or remove it"),
        (of_one_class, "train has one class, cat: needed is a folder of images for each class, two or more"),
        (with_another_class, "val/dog: no such class among the 3 of"),
        (with_a_link_to_itself, "train/cat: Too many levels of symbolic links"),
        (with_two_unreadable, "2 of 5 images are bad, at most 1 % may be, see data.max_bad_share"),
    ],
)
def test_what_cannot_be_repaired_is_one_line(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    folder = a_folder(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        prepare_data(options(folder, tmp_path / "cache"), silent)
    assert "\n" not in str(caught.value)


def test_folders_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no data: pass data\.root=FOLDER, which has train/ and val/"):
        ImageFolder().folder(silent)
    with pytest.raises(InputError, match=r"no data: .*train: No such file or directory"):
        ImageFolder(tmp_path / "none").folder(silent)


def test_data_that_has_moved_is_the_same_data(tmp_path: Path) -> None:
    content = opened(a_folder(tmp_path / "a"), tmp_path / "cache").train.content
    (tmp_path / "a").rename(tmp_path / "b")
    moved = ImageFolder(tmp_path / "b", lists_dir=tmp_path / "lists", num_held_out=1)
    assert opened(moved, tmp_path / "cache").train.content == content


def test_inaturalist_gives_each_image_the_class_of_its_annotation(tmp_path: Path) -> None:
    draw(tmp_path, "imgs/Aves/x/1.jpg", "imgs/Aves/y/2.jpg", "imgs/Insecta/z/3.jpg")
    names = ("imgs/Aves/x/1.jpg", "imgs/Aves/y/2.jpg", "imgs/Insecta/z/3.jpg")
    document: dict[str, list[dict[str, Any]]] = {
        "images": [
            {"id": 10, "file_name": names[0], "width": 30, "height": 20, "license": 1},
            {"id": 11, "file_name": names[1]},
            {"id": 12, "file_name": names[2], "width": 30, "height": 22},
        ],
        "annotations": [{"id": i, "image_id": 10 + i, "category_id": category} for i, category in enumerate((7, 3, 7))],
        "categories": [{"id": 7, "name": "Pica pica", "supercategory": "Aves"}, {"id": 3, "name": "Apis mellifera"}],
    }
    for name in ("train2017.json", "val2017.json"):
        (tmp_path / name).write_text(json.dumps(document))
    data = INaturalist(tmp_path, lists_dir=tmp_path / "lists", num_held_out=1)
    split = opened(data, tmp_path / "cache").train
    assert split.annotations.category_names == ("Apis mellifera", "Pica pica")
    assert pairs(split, tmp_path) == [(str(tmp_path / name), k) for name, k in zip(names, (1, 0, 1), strict=True)]

    document["annotations"][0]["image_id"] = 11
    (tmp_path / "train2017.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"train2017\.json: image 10 has 0 classes, needed is one"):
        data.folder(silent)


def test_drawn_shapes_are_a_folder_by_class_and_the_same_each_time(tmp_path: Path) -> None:
    drawn = [ClassShapes(tmp_path / name, 10, 5, 32, num_held_out=2) for name in ("a", "b")]
    first, second = (opened(shapes, tmp_path / "cache").train for shapes in drawn)
    assert first.content == second.content
    assert first.annotations.category_names == CLASS_SHAPES
    assert np.bincount(first.annotations.labels).tolist() == [2] * 5
    with pytest.raises(InputError, match="was drawn with"):
        ClassShapes(tmp_path / "a", 20, 5, 32, num_held_out=2).folder(silent)
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="mine exists and holds no embedded data; name another folder"):
        ClassShapes(tmp_path / "mine", 20, 5, 32, num_held_out=2).folder(silent)


def test_classes_of_one_name_and_images_with_several_objects_are_refused_before_images_are_decoded(
    tmp_path: Path,
) -> None:
    draw(tmp_path, "0.png", "1.png", "2.png")
    images = [{"id": i, "file_name": f"{i}.png", "width": 40, "height": 30} for i in range(3)]
    annotations = [{"id": i, "image_id": i, "category_id": i} for i in range(3)]
    categories = [{"id": i, "name": name} for i, name in enumerate(("owl", "bear", "bear"))]
    for name in ("train2017.json", "val2017.json"):
        document = {"images": images, "annotations": annotations, "categories": categories}
        (tmp_path / name).write_text(json.dumps(document))

    twice = INaturalist(tmp_path, lists_dir=tmp_path / "lists", num_held_out=1)
    several = Shapes(tmp_path / "s", 4, 2, 64, num_held_out=1)
    reported: list[str] = []
    for data, message in (
        (twice, "has 2 classes named bear: classes are known by their names, which must differ"),
        (several, r"has \d+ objects, and a classifier learns from images of one class each"),
    ):
        with pytest.raises(InputError, match=message):
            prepare_data(
                replace(options(data, tmp_path / "cache"), check=labels_of), lambda what, *_: reported.append(what)
            )
    assert reported
    assert not [what for what in reported if what.startswith("decoding")]
