import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from foundation import InputError
from proxy_tasks import silent
from proxy_tasks.coco.annotations import MAX_BOXES
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.open_data import open_data
from proxy_tasks.detection.task import DetectionProxy
from tests.proxy_tasks.detection.test_task import RECIPE, SCALE, task


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    task(made, score_on="val").prepare(silent)
    return made


def boxes_in(folder: Path, name: str) -> int:
    document = json.loads((folder / "shapes" / "annotations" / f"instances_{name}.json").read_text())
    return len(document["annotations"])


def damage(folder: Path, name: str) -> None:
    """Change one byte of the second image in a cache."""
    (images,) = folder.glob(f"cache/{name}-*/images")
    with images.open("r+b") as file:
        file.seek(64 * 64 * 3 + 5)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


def test_preparing_says_what_there_is(tmp_path: Path) -> None:
    lines = task(tmp_path).prepare(silent)
    (cache,) = tmp_path.glob("cache/train2017-64px-raw-????????????????")
    size = sum(file.stat().st_size for file in cache.iterdir()) / 1e9
    assert (*lines[:3], lines[-1]) == (
        f"train: 96 images, 0 of them without a box; {boxes_in(tmp_path, 'train2017')} boxes of 3 categories, "
        "ids 1 to 3",
        f"  {cache} ({size:.2g} GB)",
        "64 images to train on, 32 held out for the reward",
        "val: not prepared, as the search does not use it; task.score_on=val prepares it for nas.replay",
    )
    assert not list(tmp_path.glob("cache/val2017-*"))


def test_the_validation_set_is_prepared_where_the_task_scores_on_it(tmp_path: Path) -> None:
    on_val = task(tmp_path, score_on="val")
    lines = on_val.prepare(silent)
    assert lines[2] == "64 images to train on, 32 held out for the reward"
    assert lines[-2] == (
        f"val: 16 images, 0 of them without a box; {boxes_in(tmp_path, 'val2017')} boxes of 3 categories, ids 1 to 3"
    )
    assert lines[-1].startswith(f"  {tmp_path}/cache/val2017-64px-raw-")
    assert on_val.prepare(silent) == lines


def test_a_data_set_without_validation_images_is_enough_for_a_search(tmp_path: Path) -> None:
    plain = task(tmp_path)
    plain.prepare(silent)
    shutil.rmtree(tmp_path / "shapes" / "val2017")
    assert plain.prepare(silent)[-1] == ("val: not there, so not prepared; nas.replay wants it, nas.search does not")


def test_ids_as_classes_change_nothing_in_what_is_said(tmp_path: Path) -> None:
    assert task(tmp_path, classes="ids").prepare(silent) == task(tmp_path).prepare(silent)


def test_ids_that_make_no_classes_are_refused_before_any_image_is_decoded(tmp_path: Path) -> None:
    by_id = task(tmp_path, classes="ids")
    path = by_id.data.folder(silent).paths("train")[0]
    document = json.loads(path.read_text())
    document["categories"].append({"id": 10_000, "name": "far"})
    path.write_text(json.dumps(document))
    reports: list[str] = []
    with pytest.raises(InputError, match="category ids as classes must lie in 0 to 9999, got 1 to 10000"):
        by_id.prepare(lambda what, done, total: reports.append(what))
    assert not any("decoding" in what for what in reports)


def test_repairs_are_counted_and_images_left_out_are_named(tmp_path: Path) -> None:
    shapes = dataclasses.replace(task(tmp_path).data, num_train_images=1000)  # type: ignore[type-var]  # it is a Shapes
    large = task(tmp_path, data=shapes)
    images = large.data.folder(silent).paths("train")[1]
    with Image.open(images / f"{3:012d}.jpg") as opened:
        grey = opened.convert("L")
    grey.save(images / f"{3:012d}.jpg")
    (images / f"{7:012d}.jpg").unlink()
    lines = large.prepare(silent)
    assert lines[2:5] == (
        "  1 images converted from grey to RGB",
        "  1 images that cannot be used left out",
        f"    there is no file {images}/{7:012d}.jpg",
    )


def test_sound_caches_are_read_through(tmp_path: Path) -> None:
    on_val = task(tmp_path, score_on="val")
    on_val.prepare(silent)
    reports: list[tuple[str, int, int]] = []
    on_val.verify(lambda *report: reports.append(report))
    assert reports == [("comparing checksums", 96, 96), ("comparing checksums", 16, 16)]


@pytest.mark.parametrize("name", ["train2017", "val2017"])
def test_one_damaged_byte_is_found_and_its_image_named(tmp_path: Path, name: str) -> None:
    on_val = task(tmp_path, score_on="val")
    on_val.prepare(silent)
    damage(tmp_path, name)
    with pytest.raises(InputError, match=rf"cache/{name}-.*: image {1:012d}\.jpg is damaged: delete that folder"):
        on_val.verify(silent)


def test_a_split_that_the_task_does_not_use_is_not_read(tmp_path: Path) -> None:
    task(tmp_path, score_on="val").prepare(silent)
    damage(tmp_path, "val2017")
    task(tmp_path).verify(silent)


def test_a_task_that_is_tied_to_its_data_opens_that_whatever_is_prepared_later(tmp_path: Path) -> None:
    on_val = task(tmp_path, score_on="val")
    on_val.prepare(silent)
    tied = on_val.tied_to_data()
    assert list(tied.data_content) == [
        "training annotations",
        "training images",
        "validation annotations",
        "validation images",
    ]
    before = open_data(tied.data_options)

    image = tmp_path / "shapes" / "val2017" / f"{3:012d}.jpg"
    shutil.copy(tmp_path / "shapes" / "val2017" / f"{4:012d}.jpg", image)
    on_val.prepare(silent)
    changed = on_val.tied_to_data()
    parts = tied.data_content.keys()
    assert [part for part in parts if tied.data_content[part] != changed.data_content[part]] == ["validation images"]

    # As in a worker that starts now.
    open_data.cache_clear()
    assert open_data(tied.data_options).scored.path == before.scored.path
    assert open_data(changed.data_options).scored.path != before.scored.path


def test_verifying_what_was_never_prepared_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the image cache .*train2017-64px-raw-\w+ is missing"):
        task(tmp_path).verify(silent)


def test_the_reward_comes_from_images_that_are_not_trained_on(folder: Path) -> None:
    data = open_data(task(folder).data_options)
    assert len(data.scored_rows) == 32
    assert len(data.train_rows) == 64
    assert not set(data.train_rows) & set(data.scored_rows)
    on_val = open_data(task(folder, score_on="val").data_options)
    assert set(on_val.train_rows) == set(data.train_rows)
    assert on_val.scored.annotations.num_images == 16


def test_missing_data_is_one_line_that_says_where_to_put_it(tmp_path: Path) -> None:
    without = DetectionProxy(CocoFolder(None), SCALE, RECIPE, cache_dir=tmp_path)
    with pytest.raises(
        InputError, match=r"no data: pass data\.root=/path/to/coco, a folder with annotations/instances"
    ):
        without.prepare(silent)
    elsewhere = DetectionProxy(CocoFolder(tmp_path / "coco"), SCALE, RECIPE, cache_dir=tmp_path)
    with pytest.raises(
        InputError, match=r"coco/annotations/instances_train2017\.json does not exist; put the data set"
    ):
        elsewhere.prepare(silent)


def test_a_held_out_split_larger_than_the_data_is_refused(folder: Path) -> None:
    shapes = dataclasses.replace(task(folder).data, num_held_out=96)  # type: ignore[type-var]  # it is a Shapes
    with pytest.raises(
        InputError, match=r"data: num_held_out must leave .*: 1 to 95 of 96 images or a share of them, as 0.1; got 96"
    ):
        task(folder, data=shapes).prepare(silent)


def test_images_without_any_box_give_no_reward(tmp_path: Path) -> None:
    empty = task(tmp_path, score_on="val")
    path = empty.data.folder(silent).paths("val")[0]
    document = json.loads(path.read_text())
    document["annotations"] = []
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="none of the 16 images to score on has a box, so there is no AP"):
        empty.prepare(silent)


def test_validation_data_of_other_classes_is_refused(tmp_path: Path) -> None:
    mixed = task(tmp_path, score_on="val")
    path = mixed.data.folder(silent).paths("val")[0]
    document = json.loads(path.read_text())
    # The largest id stays the largest, so that the number of classes does not tell.
    document["categories"][0]["id"] = 0
    for annotation in document["annotations"]:
        annotation["category_id"] = 0 if annotation["category_id"] == 1 else annotation["category_id"]
    path.write_text(json.dumps(document))
    for classes in ("dense", "ids"):
        with pytest.raises(InputError, match="training and validation annotations have different categories"):
            dataclasses.replace(mixed, classes=classes).prepare(silent)


def test_validation_data_that_gives_an_id_another_name_is_refused_and_both_names_are_shown(tmp_path: Path) -> None:
    mixed = task(tmp_path, score_on="val")
    path = mixed.data.folder(silent).paths("val")[0]
    document = json.loads(path.read_text())
    # The same ids and the same names, but each means the other.
    first, second = document["categories"][:2]
    first["name"], second["name"] = second["name"], first["name"]
    path.write_text(json.dumps(document))
    message = (
        "training and validation annotations have different categories: "
        "id 1 is 'circle' in training and 'square' in validation"
    )
    for classes in ("dense", "ids"):
        with pytest.raises(InputError, match=message):
            dataclasses.replace(mixed, classes=classes).prepare(silent)


def test_a_category_that_only_one_split_has_is_named(tmp_path: Path) -> None:
    mixed = task(tmp_path, score_on="val")
    path = mixed.data.folder(silent).paths("val")[0]
    document = json.loads(path.read_text())
    document["categories"].append({"id": 7, "name": "star"})
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="id 7 is missing in training and 'star' in validation"):
        mixed.prepare(silent)


def test_boxes_that_are_too_many_to_train_on_are_counted_in_the_summary(tmp_path: Path) -> None:
    crowded = task(tmp_path)
    path = crowded.data.folder(silent).paths("train")[0]
    document = json.loads(path.read_text())
    category = document["categories"][0]["id"]
    for image in document["images"]:
        box = {"image_id": image["id"], "category_id": category, "bbox": [1, 1, 20, 20], "area": 400}
        first = len(document["annotations"]) + 1
        document["annotations"] += [{**box, "id": first + i} for i in range(MAX_BOXES)]
    others = len(document["annotations"]) - MAX_BOXES * len(document["images"])
    path.write_text(json.dumps(document))
    line = next(line for line in crowded.prepare(silent) if "not trained on" in line)
    number = int(line.split()[0])
    assert line == f"  {number} boxes not trained on: they are beyond the first {MAX_BOXES} of their image"
    # 64 of the 96 images are trained on, and each had a box at least.
    assert 64 <= number < others
