import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foundation import InputError
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.mask_file import check_names_masks
from tests.proxy_tasks.coco.layouts.small_sets import HEIGHT, NAMES, WIDTH, draw, prepare, task_on, write_text

YAML = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"
# In pictures of 40 x 20 px: left 10, top 5, 20 wide, 10 high; and the whole picture.
LABEL = "1 0.5 0.5 0.5 0.5\n0 0.5 0.5 1 1\n"
BOXES = [[10, 5, 20, 10], [0, 0, 40, 20]]


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """The layout of Ultralytics' documentation."""
    root = tmp_path / "set"
    for seed, split in enumerate(("train", "val")):
        draw(root / "images" / split, seed=seed)
        write_text(root, {f"labels/{split}/{Path(name).stem}.txt": LABEL for name in NAMES})
    write_text(root, {"data.yaml": YAML})
    return root


def test_labels_become_boxes_in_pixels(yolo: Path) -> None:
    prepared = prepare(yolo, "val")
    assert prepared.classes == ("cat", "dog")
    assert all(prepared.boxes(name) == BOXES for name in NAMES)
    assert prepared.boxes("a.jpg", split="val") == BOXES
    assert prepared.data.train.annotations.labels.tolist() == [1, 0] * 4
    assert any(what.startswith("YOLO's layout, data.yaml: ") for what in prepared.reports)


def test_nothing_is_written_into_the_data_set(yolo: Path) -> None:
    before = sorted(yolo.rglob("*"))
    prepare(yolo, "val")
    assert sorted(yolo.rglob("*")) == before
    assert sorted(path.name[:-22] for path in (yolo.parent / "converted").iterdir()) == ["set-train", "set-val"]


def test_a_set_is_converted_once_and_again_when_it_changed(yolo: Path) -> None:
    prepare(yolo)
    converted = yolo.parent / "converted"
    first = {path: path.stat().st_mtime_ns for path in converted.iterdir()}
    prepare(yolo)
    assert {path: path.stat().st_mtime_ns for path in converted.iterdir()} == first

    write_text(yolo, {"labels/train/a.txt": "0 0.5 0.5 0.5 0.5\n"})
    prepared = prepare(yolo)
    assert prepared.boxes("a.jpg") == BOXES[:1]
    assert len(list(converted.iterdir())) == 3


def test_a_set_that_was_moved_is_the_same_set(yolo: Path) -> None:
    content = task_on(yolo)
    content.prepare(lambda *a: None)
    before = content.tied_to_data().content
    moved = yolo.parent / "elsewhere" / "set"
    moved.parent.mkdir()
    shutil.move(yolo, moved)
    task = task_on(moved)
    task.prepare(lambda *a: None)
    assert task.tied_to_data().content == before


@pytest.mark.parametrize(
    ("yaml", "lists"),
    [
        ("train: images/train\nnames: [cat, dog]\n", {}),
        ("train: images/train/\nval: images/val\nnc: 2\nnames: ['cat', 'dog']\n", {}),
        # As Roboflow writes it: the folder is below that of the YAML file, not beside it.
        ("train: ../images/train\nval: ../images/val\nnc: 2\nnames: ['cat', 'dog']\n", {}),
        # The folder of another machine.
        ("path: /content/datasets/set\ntrain: images/train\nnames: {0: cat, 1: dog}\n", {}),
        ("path: ../datasets/set\ntrain: images/train\nnames: {0: cat, 1: dog}\n", {}),
        ("path: ./\ntrain: [images/train]\nnames: {0: cat, 1: dog}\n", {}),
        ("path: ./images\ntrain: train\nnames: {0: cat, 1: dog}\n", {}),
        # As CVAT writes it.
        ("path: ./\ntrain: train.txt\nnames: {0: cat, 1: dog}\n", {"train.txt": "images/train/{name}\n"}),
        ("train: lists/train.txt\nnames: {0: cat, 1: dog}\n", {"lists/train.txt": "./../images/train/{name}\n"}),
        ("train: [all.txt]\nnames: {0: cat, 1: dog}\n", {"all.txt": "{root}/images/train/{name}\n\n"}),
    ],
)
def test_all_forms_of_paths_name_the_same_pictures(yolo: Path, yaml: str, lists: dict[str, str]) -> None:
    write_text(yolo, {"data.yaml": yaml})
    for name, line in lists.items():
        write_text(yolo, {name: "".join(line.format(name=picture, root=yolo) for picture in NAMES)})
    prepared = prepare(yolo)
    assert prepared.classes == ("cat", "dog")
    assert all(prepared.boxes(name) == BOXES for name in NAMES)


def test_the_folder_that_is_named_goes_before_the_one_in_the_yaml_file(yolo: Path, tmp_path: Path) -> None:
    shutil.copytree(yolo, tmp_path / "older")
    write_text(tmp_path / "older", {"labels/train/a.txt": ""})
    write_text(yolo, {"data.yaml": f"path: {tmp_path}/older\ntrain: images/train\nnames: [cat, dog]\n"})
    assert prepare(yolo).boxes("a.jpg") == BOXES


def test_relative_paths_from_python_are_understood(yolo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(yolo.parent)
    folder = CocoFolder(Path("set"), converted_dir=Path("converted")).folder(lambda *a: None)
    assert folder.paths("train")[1] == yolo / "images" / "train"
    assert folder.paths("train")[0].parent == yolo.parent / "converted"


def test_a_list_with_a_byte_order_mark_is_read(yolo: Path) -> None:
    listed = "".join(f"images/train/{name}\r\n" for name in NAMES)
    write_text(yolo, {"data.yaml": "train: train.txt\nnames: [cat, dog]\n", "train.txt": f"\ufeff{listed}"})
    assert all(prepare(yolo, max_bad_share=0).boxes(name) == BOXES for name in NAMES)


def test_labels_beside_the_pictures_are_found_below_a_folder_called_images(yolo: Path) -> None:
    root = yolo.parent / "images" / "mine"
    shutil.copytree(yolo / "images" / "train", root / "train")
    write_text(root, {"data.yaml": "train: train\nnames: [cat, dog]\n"})
    write_text(root, {f"train/{Path(name).stem}.txt": LABEL for name in NAMES})
    assert all(prepare(root).boxes(name) == BOXES for name in NAMES)


def test_folders_that_are_links_are_followed_and_each_once(yolo: Path) -> None:
    for kind in ("images", "labels"):
        (yolo / kind / "train").rename(yolo.parent / kind)
        (yolo / kind / "train").symlink_to(yolo.parent / kind)
    (yolo / "images" / "again").symlink_to(yolo / "images")
    write_text(yolo, {"data.yaml": "train: images\nnames: [cat, dog]\n"})
    names = prepare(yolo).data.train.annotations.file_names
    assert names == tuple(f"{split}/{name}" for split in ("train", "val") for name in NAMES)


def test_several_folders_are_one_split(yolo: Path) -> None:
    write_text(yolo, {"data.yaml": "train: [images/train, images/val]\nnames: [cat, dog]\n"})
    data = prepare(yolo).data
    assert data.train.annotations.file_names == tuple(f"{split}/{n}" for split in ("train", "val") for n in NAMES)


def test_roboflows_folders_and_labels_beside_the_pictures_are_found(yolo: Path) -> None:
    (yolo / "train").mkdir()
    (yolo / "images" / "train").rename(yolo / "train" / "images")
    (yolo / "labels" / "train").rename(yolo / "train" / "labels")
    write_text(yolo, {"data.yaml": "train: train/images\nnames: [cat, dog]\n"})
    assert prepare(yolo).boxes("b.jpg") == BOXES

    (yolo / "train" / "images").rename(yolo / "photos")
    for label in (yolo / "train" / "labels").iterdir():
        label.rename(yolo / "photos" / label.name)
    write_text(yolo, {"data.yaml": "train: photos\nnames: [cat, dog]\n"})
    assert prepare(yolo).boxes("b.jpg") == BOXES


def test_a_yaml_file_of_another_name_is_found_where_it_is_the_only_one(yolo: Path) -> None:
    (yolo / "data.yaml").rename(yolo / "coco8.yaml")
    write_text(yolo, {"notes.yaml": "author: somebody\n"})
    assert prepare(yolo).classes == ("cat", "dog")


def test_outlines_become_polygons_with_their_boxes(yolo: Path) -> None:
    # A triangle over the left half: corners (0, 0), (20, 0), (0, 20); its area is 200 of 20 x 20 px.
    write_text(yolo, {"labels/train/a.txt": "1 0 0 0.5 0 0 1\n"})
    prepared = prepare(yolo)
    assert prepared.boxes("a.jpg") == [[0, 0, 20, 20]]
    assert prepared.data.train.annotations.areas[0] == 200
    file = task_on(yolo).data.folder(lambda *a: None).paths("train")[0]
    assert json.loads(file.read_text())["annotations"][0]["segmentation"] == [[0, 0, 20, 0, 0, 20]]
    check_names_masks(file)


def test_key_points_behind_a_box_are_not_read(yolo: Path) -> None:
    write_text(yolo, {"data.yaml": YAML + "kpt_shape: [1, 3]\n", "labels/val/a.txt": ""})
    line = "1 0.5 0.5 0.5 0.5 0.4 0.4 2\n"
    write_text(yolo, {f"labels/{split}/{name[0]}.txt": line for split in ("train", "val") for name in NAMES})
    assert prepare(yolo).boxes("a.jpg") == BOXES[:1]
    write_text(yolo, {"labels/train/a.txt": LABEL})
    with pytest.raises(InputError, match=r"a\.txt, line 1: 5 columns, with kpt_shape of data\.yaml needed are 8"):
        prepare(yolo)


def test_names_may_be_left_out_or_have_gaps(yolo: Path) -> None:
    write_text(yolo, {"data.yaml": "train: images/train\nnc: 2\n"})
    assert prepare(yolo).classes == ("class_0", "class_1")
    write_text(yolo, {"data.yaml": "train: images/train\nnames: {0: cat, 1: dog, 7: cow}\n"})
    write_text(yolo, {"labels/train/a.txt": "7 0.5 0.5 0.5 0.5\n"})
    prepared = prepare(yolo)
    assert prepared.classes == ("cat", "dog", "cow")
    assert prepared.data.train.annotations.category_ids == (1, 2, 3)
    assert prepared.data.train.annotations.labels[0] == 2


def test_pictures_without_a_label_are_background_and_equal_lines_are_one_box(yolo: Path) -> None:
    (yolo / "labels" / "train" / "a.txt").unlink()
    write_text(yolo, {"labels/train/b.txt": "", "labels/train/c.txt": LABEL + LABEL, "labels/train/classes.txt": "cat"})
    prepared = prepare(yolo, num_held_out=2)
    assert [prepared.boxes(name) for name in NAMES] == [[], [], BOXES, BOXES]
    assert prepared.lines[0].startswith("train: 4 images, 2 of them without a box")


def test_a_picture_that_lies_on_its_side_is_read_as_it_is_seen(yolo: Path) -> None:
    # Left half black. Turned clockwise by orientation 6, its upper half is.
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, WIDTH // 2 :] = 255
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels).save(yolo / "images" / "train" / "a.jpg", exif=exif)
    write_text(yolo, {"labels/train/a.txt": "0 0.5 0.25 1 0.5\n"})
    prepared = prepare(yolo)
    assert prepared.boxes("a.jpg") == [[0, 0, HEIGHT, WIDTH / 2]]
    assert prepared.data.train.annotations.sizes_px[0].tolist() == [WIDTH, HEIGHT]
    seen = np.zeros((1, 64, 64, 3), np.uint8)
    prepared.data.train.images.read(np.array([0]), seen)
    assert seen[0, :30, :30].max() < 40
    assert seen[0, 34:, :30].min() > 215


def test_a_box_at_the_edge_is_clipped_and_counted(yolo: Path) -> None:
    # 0.505 is half a percent beyond: 0.2 px of 40.
    write_text(yolo, {"labels/train/a.txt": "0 0.75 0.5 0.51 0.5\n"})
    assert "  1 boxes clipped to their image for training" in prepare(yolo).lines


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("2 0.5 0.5 0.5 0.5\n", r"a\.txt, line 1: class 2 is none of the 2 in data\.yaml, which are 0 to 1"),
        ("-1 0.5 0.5 0.5 0.5\n", r"a\.txt, line 1: class -1 is none"),
        ("0.5 0.5 0.5 0.5 0.5\n", r"a\.txt, line 1: class 0\.5 is none"),
        ("cat 0.5 0.5 0.5 0.5\n", r"a\.txt, line 1: 'cat' is no number"),
        ("\n0 0.5 0.5 0.5\n", r"a\.txt, line 2: 4 columns, needed are 5 \(class, centre x, centre y, width, height\)"),
        ("0 0.5 0.5 0.5 0.5 0.9\n", r"a\.txt, line 1: 6 columns, needed are 5"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4\n", r"a\.txt, line 1: 8 columns, needed are 5"),
        ("0\n", r"a\.txt, line 1: 1 columns, needed are 5"),
        ("0 20 10 20 10\n", r"a\.txt, line 1: 20 is outside 0 to 1: coordinates are shares of the picture's width"),
        ("0 0.5 0.5 0.5 -0.5\n", r"a\.txt, line 1: -0\.5 is outside 0 to 1"),
        ("0 0.5 nan 0.5 0.5\n", r"a\.txt, line 1: 'nan' is no number"),
    ],
)
def test_mistakes_in_a_label_are_one_line(yolo: Path, label: str, message: str) -> None:
    write_text(yolo, {"labels/train/a.txt": label})
    with pytest.raises(InputError, match=message) as raised:
        prepare(yolo)
    assert "\n" not in str(raised.value)
    # Nothing half-written: neither annotations nor a cache.
    assert not (yolo.parent / "converted").exists()
    assert not list(yolo.parent.glob("cache/*"))


def test_a_label_that_is_no_text_is_one_line(yolo: Path) -> None:
    (yolo / "labels" / "train" / "a.txt").write_bytes(b"\xff\xfe0 0.5")
    with pytest.raises(InputError, match=r"a\.txt: no text in UTF-8"):
        prepare(yolo)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("train: [", r"cannot read .*data\.yaml: "),
        (
            "train: images/train\nnames: [cat]\ndate: 2024-13-01\n",
            r"cannot read .*data\.yaml: month must be in 1\.\.12",
        ),
        (f"train: {'[' * 3000}\nnames: [cat]\n", r"cannot read .*data\.yaml: "),
        ("train: images/train\nnames: [cat, [dog]]\n", r"names: needed is a text for each class, got \['dog'\]"),
        ("- a\n", r"data\.yaml: needed is train:, the folder or list of the training pictures"),
        ("train: 3\nnames: [cat]\n", r"data\.yaml: train: needed is a path or a list of paths, got 3"),
        ("train: images/none\nnames: [cat]\n", r"data\.yaml: train: there is no .*set/images/none"),
        ("train: images/train\n", r"data\.yaml: names: needed are the classes"),
        ("train: images/train\nnames: {a: cat}\n", r"data\.yaml: names: needed are whole numbers, got 'a'"),
        ("train: images/train\nnc: 3\nnames: [cat]\n", r"data\.yaml: nc: 3 is not the number of names, 1"),
        ("train: labels/train\nnames: [cat]\n", r"data\.yaml: there are no pictures in .*labels/train"),
        ("train: images/train\nnames: [cat, dog]\nkpt_shape: 17\n", r"kpt_shape: needed are two whole numbers, got 17"),
        ("train: images/train/a.jpg\nnames: [cat]\n", r"images/train/a\.jpg is no list of pictures"),
    ],
)
def test_mistakes_in_the_yaml_file_are_one_line(yolo: Path, yaml: str, message: str) -> None:
    write_text(yolo, {"data.yaml": yaml})
    with pytest.raises(InputError, match=message) as raised:
        prepare(yolo)
    assert "\n" not in str(raised.value)


def test_a_validation_set_that_is_not_there_is_no_error_until_it_is_asked_for(yolo: Path) -> None:
    shutil.rmtree(yolo / "images" / "val")
    assert prepare(yolo).lines[-1].startswith("val: not there, so not prepared")
    with pytest.raises(InputError, match=r"no data: .*set/images/val does not exist"):
        prepare(yolo, "val")
    write_text(yolo, {"data.yaml": "train: images/train\nnames: [cat, dog]\n"})
    with pytest.raises(InputError, match=r"no data: .*set/val of data\.yaml does not exist"):
        prepare(yolo, "val")


def test_missing_pictures_count_as_bad_ones(yolo: Path) -> None:
    for name in ("a.jpg", "c.jpg"):
        (yolo / "images" / "train" / name).unlink()
    with pytest.raises(InputError, match=r"there is no file .*images/train/a\.\*; 2 of 4 images are bad"):
        prepare(yolo)
    assert "  2 of 4 images are bad" in prepare(yolo, max_bad_share=0.5, split_seed=1).lines


def test_listed_pictures_that_are_missing_or_none_count_as_bad_ones(yolo: Path) -> None:
    listed = "".join(f"images/train/{name}\n" for name in NAMES)
    write_text(yolo, {"data.yaml": "train: train.txt\nnames: [cat, dog]\n", "train.txt": listed})
    (yolo / "images" / "train" / "a.jpg").unlink()
    (yolo / "images" / "train" / "c.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"images/train/a\.jpg; 1 of 4 images|2 of 4 images are bad"):
        prepare(yolo, max_bad_share=0)
    assert "  2 of 4 images are bad" in prepare(yolo, max_bad_share=0.5, split_seed=1).lines


def test_one_folder_for_both_splits_is_said(yolo: Path) -> None:
    write_text(yolo, {"data.yaml": "train: images/train\nval: images/train\nnames: [cat, dog]\n"})
    lines = prepare(yolo).lines
    assert any(
        line.startswith("pictures that are in both sets: 4, as a.jpg (a.jpg in the training set)") for line in lines
    )


def test_a_folder_that_cannot_be_written_is_one_line(yolo: Path) -> None:
    (yolo.parent / "converted").write_text("a file")
    with pytest.raises(InputError, match=r"cannot write the converted annotations .*see data\.converted_dir"):
        prepare(yolo)


def test_a_file_without_folders_means_the_usual_ones_and_where_there_are_none_says_so(yolo: Path) -> None:
    write_text(yolo, {"data.yaml": "nc: 2\nnames: [cat, dog]\n"})
    assert prepare(yolo, "val").boxes("a.jpg", split="val") == BOXES
    shutil.move(yolo / "images", yolo / "pictures")
    with pytest.raises(
        InputError, match=r"data\.yaml: needed is train:.* none of train/images/, images/train/, images/$"
    ):
        prepare(yolo)


def test_classes_without_a_yaml_file_are_those_of_the_lines(yolo: Path) -> None:
    (yolo / "data.yaml").unlink()
    write_text(yolo, {"classes.txt": "cat\n\ndog\n"})
    assert prepare(yolo).classes == ("cat", "dog")
    assert prepare(yolo, train_annotations="classes.txt").classes == ("cat", "dog")
    (yolo / "classes.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"classes\.txt is no list of classes"):
        prepare(yolo)
