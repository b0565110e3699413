from pathlib import Path

import pytest

from foundation import InputError
from proxy_tasks.base import silent
from proxy_tasks.coco.folder import CocoFolder
from tests.proxy_tasks.coco.layouts.small_sets import coco, draw, prepare, write_json, write_text

LABELS = {f"labels/train/{name}.txt": "0 0.5 0.5 0.5 0.5\n" for name in "abcd"}


def test_names_of_coco_2017_go_first_and_nothing_is_said(tmp_path: Path) -> None:
    root = tmp_path / "set"
    draw(root / "train2017")
    write_json(root / "annotations" / "instances_train2017.json", coco())
    write_text(root, {"data.yaml": "train: nowhere\nnames: [x]\n"})
    prepared = prepare(root)
    assert prepared.boxes("a.jpg") == [[2, 3, 11, 8]]
    assert not any("layout" in what for what in prepared.reports)


def test_names_that_are_given_win_over_any_layout(tmp_path: Path) -> None:
    root = tmp_path / "set"
    draw(root / "train")
    write_json(root / "train" / "_annotations.coco.json", coco(classes=["wrong"]))
    write_json(root / "mine.json", coco())
    assert prepare(root, train_annotations="mine.json", train_images="train").classes == ("cat", "dog")

    # One that is given and is not there is an error, and no reason to look for another.
    folder = CocoFolder(root, val_annotations="val.json", val_images="train").folder(silent)
    with pytest.raises(InputError, match=r"no data: .*instances_train2017\.json does not exist"):
        folder.paths("train")


def test_two_layouts_are_one_line_with_the_options_that_choose(tmp_path: Path) -> None:
    root = tmp_path / "set"
    draw(root / "train")
    draw(root / "images" / "train")
    write_json(root / "train" / "_annotations.coco.json", coco())
    write_text(root, {"data.yaml": "train: images/train\nnames: [cow]\n", **LABELS})
    with pytest.raises(
        InputError,
        match=r"has train/_annotations\.coco\.json and data\.yaml: say which, as "
        r"data\.train_annotations=train/_annotations\.coco\.json data\.train_images=train, or "
        r"data\.train_annotations=data\.yaml$",
    ):
        prepare(root)
    assert prepare(root, train_annotations="data.yaml").classes == ("cow",)
    named = prepare(root, train_annotations="train/_annotations.coco.json", train_images="train")
    assert named.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"holds nothing, which is no layout that is known \(COCO 2017, Roboflow, .*data\.train_images=FOLDER$"),
        ({"a.txt": "", "b/c.txt": ""}, r"holds a\.txt, b/, which is no layout that is known"),
        ({f"{i}.txt": "" for i in range(9)}, r"holds 0\.txt, 1\.txt, 2\.txt, 3\.txt, 4\.txt, 5\.txt and 3 more, which"),
        ({"unpacked/data.yaml": ""}, r"holds unpacked/; did you mean data\.root=.*/set/unpacked\?$"),
    ],
)
def test_an_unknown_layout_is_one_line_that_says_what_is_there(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    (tmp_path / "set").mkdir()
    write_text(tmp_path / "set", files)
    with pytest.raises(InputError, match=message) as raised:
        prepare(tmp_path / "set")
    assert "\n" not in str(raised.value)


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    write_text(tmp_path, {"data.yaml": "train: images/train\nnames: [cow]\n", **LABELS})
    with pytest.raises(InputError, match=r"data\.root=.*data\.yaml is a file: name the folder of the data set, /"):
        prepare(tmp_path / "data.yaml")


def test_a_share_is_held_out(tmp_path: Path) -> None:
    root = tmp_path / "set"
    names = [f"{i:02d}.jpg" for i in range(24)]
    draw(root / "train", names)
    write_json(root / "train" / "_annotations.coco.json", coco(names))
    assert "22 images to train on, 2 held out for the reward" in prepare(root, num_held_out=0.1).lines
    assert [path.name[:11] for path in (tmp_path / "cache").glob("held_out-*")] == ["held_out-2-"]
    # The same choice by its number.
    assert prepare(root, num_held_out=2).data.num_to_score == 2
    assert len(list((tmp_path / "cache").glob("held_out-*"))) == 1


@pytest.mark.parametrize("num_held_out", [0, -1, 1.0, 0.0, 2.5, float("nan")])
def test_what_is_neither_a_number_nor_a_share_is_refused(num_held_out: float) -> None:
    with pytest.raises(ValueError, match="num_held_out must be 1 or more, a whole number, or a share below 1, got"):
        CocoFolder(None, num_held_out=num_held_out)
