import json
import shutil
from pathlib import Path

import pytest

from foundation import InputError
from proxy_tasks.coco.folder import CocoFolder
from tests.proxy_tasks.coco.layouts.small_sets import NAMES, coco, draw, prepare, task_on, write_json

FOUR_BOXES = [[2, 3, 11, 8], [2, 3, 12, 8], [2, 3, 13, 8], [2, 3, 14, 8]]


@pytest.fixture
def roboflow(tmp_path: Path) -> Path:
    """Roboflow's COCO JSON: splits beside one another, and a class 0 for all, which no box has."""
    root = tmp_path / "set"
    for seed, split in enumerate(("train", "valid", "test")):
        draw(root / split, seed=seed)
        content = coco()
        content["categories"].insert(0, {"id": 0, "name": "animals", "supercategory": "none"})
        write_json(root / split / "_annotations.coco.json", content)
    return root


@pytest.fixture
def cvat(tmp_path: Path) -> Path:
    """The COCO export of a task of CVAT, which is also Datumaro's of a data set with one subset."""
    draw(tmp_path / "set" / "images" / "default")
    write_json(tmp_path / "set" / "annotations" / "instances_default.json", coco())
    return tmp_path / "set"


@pytest.fixture
def label_studio(tmp_path: Path) -> Path:
    """Label Studio's COCO export: ids from 0, names below the folder of the file, width before height."""
    draw(tmp_path / "set" / "images")
    write_json(tmp_path / "set" / "result.json", coco([f"images/{name}" for name in NAMES], first_id=0))
    return tmp_path / "set"


def test_roboflow_is_read_with_its_validation_set(roboflow: Path) -> None:
    prepared = prepare(roboflow, "val")
    assert "Roboflow's layout: train/_annotations.coco.json, pictures in train" in prepared.reports
    assert prepared.classes == ("animals", "cat", "dog")
    assert [box for name in NAMES for box in prepared.boxes(name)] == FOUR_BOXES
    assert [box for name in NAMES for box in prepared.boxes(name, split="val")] == FOUR_BOXES
    assert prepared.data.val is not None
    assert prepared.data.val.path.name.startswith("valid-")


def test_roboflow_without_valid_takes_test_and_without_either_needs_none(roboflow: Path) -> None:
    (roboflow / "valid").rename(roboflow.parent / "gone")
    folder = task_on(roboflow).data.folder(lambda *a: None)
    assert folder.paths("val")[0] == roboflow / "test" / "_annotations.coco.json"
    (roboflow / "test").rename(roboflow.parent / "gone too")
    assert prepare(roboflow).lines[-1].startswith("val: not there, so not prepared")
    with pytest.raises(InputError, match=r"no data: .*set/valid/_annotations\.coco\.json does not exist"):
        prepare(roboflow, "val")


def test_cvat_is_read_and_one_subset_is_enough(cvat: Path) -> None:
    prepared = prepare(cvat)
    assert "the layout of CVAT and Datumaro: annotations/instances_default.json, pictures in images/default" in (
        prepared.reports
    )
    assert [box for name in NAMES for box in prepared.boxes(name)] == FOUR_BOXES
    assert prepared.lines[-1].startswith("val: not there, so not prepared")


def test_pictures_that_lie_in_images_itself_are_found_there(cvat: Path) -> None:
    for name in NAMES:
        (cvat / "images" / "default" / name).rename(cvat / "images" / name)
    assert task_on(cvat).data.folder(lambda *a: None).train_images == "images"
    assert prepare(cvat).boxes("a.jpg") == FOUR_BOXES[:1]


@pytest.mark.parametrize(
    ("subsets", "train", "val"),
    [
        (("train", "val"), "train", "val"),
        (("Train", "default", "test"), "default", "test"),
        (("train2017", "val2017", "minival"), "train2017", "val2017"),
        (("odd",), "odd", None),
    ],
)
def test_subsets_are_told_by_their_names(tmp_path: Path, subsets: tuple[str, ...], train: str, val: str | None) -> None:
    for seed, subset in enumerate(subsets):
        draw(tmp_path / "images" / subset, seed=seed)
        write_json(tmp_path / "annotations" / f"instances_{subset}.json", coco())
    folder = CocoFolder(tmp_path).folder(lambda *a: None)
    assert folder.paths("train") == (tmp_path / f"annotations/instances_{train}.json", tmp_path / "images" / train)
    if val is None:
        with pytest.raises(InputError, match="no data"):
            folder.paths("val")
    else:
        assert folder.paths("val") == (tmp_path / f"annotations/instances_{val}.json", tmp_path / "images" / val)


def test_subsets_none_of_which_is_for_training_are_one_line(tmp_path: Path) -> None:
    for subset in ("first", "second"):
        write_json(tmp_path / "annotations" / f"instances_{subset}.json", coco())
    with pytest.raises(
        InputError,
        match=r"has annotations/instances_first\.json, annotations/instances_second\.json: say which to train on, as "
        r"data\.train_annotations=annotations/instances_first\.json data\.train_images=FOLDER",
    ):
        CocoFolder(tmp_path).folder(lambda *a: None)


def test_label_studio_is_read_in_both_ways_that_it_writes_names(label_studio: Path) -> None:
    prepared = prepare(label_studio)
    assert "Label Studio's layout: result.json, pictures in ." in prepared.reports
    assert prepared.classes == ("cat", "dog")
    assert prepared.boxes("b.jpg") == [[2, 3, 11, 8]]
    write_json(label_studio / "result.json", coco(first_id=0))
    assert prepare(label_studio).boxes("b.jpg") == [[2, 3, 11, 8]]


def test_label_studios_own_json_is_named(label_studio: Path) -> None:
    write_json(label_studio / "result.json", [{"id": 1, "data": {"image": "a.jpg"}}])
    with pytest.raises(InputError, match=r"result\.json is Label Studio's own JSON: export the project as COCO"):
        prepare(label_studio)


@pytest.mark.parametrize("kind", ["roboflow", "cvat", "label_studio"])
def test_missing_pictures_count_as_bad_ones(kind: str, request: pytest.FixtureRequest) -> None:
    root: Path = request.getfixturevalue(kind)
    for lost in ("a.jpg", "c.jpg"):
        sorted(root.rglob(lost), key=lambda path: "train" not in str(path))[0].unlink()
    with pytest.raises(InputError, match=r"there is no file .*a\.jpg; 2 of 4 images are bad, at most 1 % may be"):
        prepare(root)
    assert "  2 of 4 images are bad" in prepare(root, max_bad_share=0.5, split_seed=1).lines


def test_no_folder_of_pictures_is_one_line_with_the_options_that_name_it(cvat: Path) -> None:
    (cvat / "images").rename(cvat / "photos")
    with pytest.raises(
        InputError,
        match=r"no pictures in images/default/, default/, images/: put them there, or name their folder: "
        r"data\.train_annotations=annotations/instances_default\.json data\.train_images=FOLDER",
    ):
        prepare(cvat)
    named = prepare(cvat, train_annotations="annotations/instances_default.json", train_images="photos/default")
    assert named.boxes("a.jpg") == FOUR_BOXES[:1]


def test_splits_of_other_classes_are_one_line(roboflow: Path) -> None:
    path = roboflow / "valid" / "_annotations.coco.json"
    content = json.loads(path.read_text())
    content["categories"][1]["name"] = "cow"
    write_json(path, content)
    with pytest.raises(InputError, match="different categories: id 1 is 'cat' in training and 'cow' in validation"):
        prepare(roboflow, "val")


def test_a_picture_in_both_splits_is_said_by_its_content(roboflow: Path) -> None:
    (roboflow / "valid" / "d.jpg").write_bytes((roboflow / "train" / "a.jpg").read_bytes())
    line = "pictures that are in both sets: 1, as d.jpg (a.jpg in the training set); AP on the validation set"
    assert any(text.startswith(line) for text in prepare(roboflow, "val").lines)


def test_a_shared_picture_is_found_among_those_of_its_name_in_several_folders(roboflow: Path) -> None:
    names = ("one/a.jpg", "two/a.jpg")
    for name in names:
        (roboflow / "train" / name).parent.mkdir()
    draw(roboflow / "train", names)
    write_json(roboflow / "train" / "_annotations.coco.json", coco(names))
    for name in names:
        shutil.copy(roboflow / "train" / name, roboflow / "valid" / "a.jpg")
        lines = prepare(roboflow).lines
        assert any(line.startswith(f"pictures that are in both sets: 1, as a.jpg ({name} in the") for line in lines)


def test_a_picture_of_one_name_in_both_splits_is_said_before_the_validation_set_is_prepared(roboflow: Path) -> None:
    # Of equal names are all four, of equal content one.
    (roboflow / "valid" / "b.jpg").write_bytes((roboflow / "train" / "b.jpg").read_bytes())
    lines = prepare(roboflow).lines
    assert any(line.startswith("pictures that are in both sets: 1, as b.jpg (b.jpg in the") for line in lines)
