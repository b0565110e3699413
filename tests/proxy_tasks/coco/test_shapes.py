import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foundation import InputError
from proxy_tasks.base import silent
from proxy_tasks.coco.annotation_file import read_annotations
from proxy_tasks.coco.bad_entries import BadEntries
from proxy_tasks.coco.shapes import (
    MAX_COMMON_SHARE,
    MAX_SHAPES,
    MAX_SIZE_SHARE,
    MIN_FOREGROUND,
    MIN_SIZE_PX,
    ONE_CLASS,
    SHAPES,
    BoxXywh,
    Shapes,
    draw_image,
    visible_masks,
)


def small(root: Path, seed: int = 0) -> Shapes:
    return Shapes(root, num_train_images=12, num_val_images=4, image_size_px=64, seed=seed, num_held_out=3)


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_folder_is_a_coco_folder(tmp_path: Path) -> None:
    folder = small(tmp_path / "shapes").folder(silent)
    assert folder.num_held_out == 3
    for split, count in (("train", 12), ("val", 4)):
        file, images = folder.paths(split)  # type: ignore[arg-type]  # one of the two words
        annotations = read_annotations(file, images, BadEntries(tmp_path / "bad.txt"))
        assert annotations.num_images == count
        assert annotations.category_names == SHAPES
        assert not annotations.repairs
        assert (np.diff(annotations.first_box) >= 1).all()


def test_the_same_seed_draws_the_same_files(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        small(tmp_path / name, seed).folder(silent)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert files_of(tmp_path / "a") != files_of(tmp_path / "c")


def test_validation_images_are_not_training_images(tmp_path: Path) -> None:
    files = files_of(tmp_path / "shapes") if small(tmp_path / "shapes").folder(silent) else {}
    train = {data for name, data in files.items() if name.startswith("train2017")}
    assert not train & {data for name, data in files.items() if name.startswith("val2017")}


@pytest.mark.parametrize("seed", range(20))
def test_boxes_fit_the_shapes_tightly(seed: int) -> None:
    picture, shapes = draw_image(np.random.default_rng(seed), 128)
    is_shape = np.asarray(picture).max(axis=-1) >= MIN_FOREGROUND
    assert 1 <= len(shapes) <= MAX_SHAPES
    for _, (x, y, width, height) in shapes:
        assert MIN_SIZE_PX <= width <= MAX_SIZE_SHARE * 128
        inside = is_shape[int(y) : int(y + height), int(x) : int(x + width)]
        # Every side of the box touches a pixel of the shape; a triangle's tip may round away by one.
        assert inside[-1].any()
        assert inside[:2].any()
        assert inside[:, :1].any()
        assert inside[:, -1:].any()


def test_images_hold_several_shapes_and_small_ones_stand_before_large_ones() -> None:
    numbers, most_common = [], 0.0
    for seed in range(50):
        picture, shapes = draw_image(np.random.default_rng(seed), 96)
        numbers.append(len(shapes))
        areas = [width * height for _, (_, _, width, height) in shapes]
        assert areas == sorted(areas, reverse=True)
        for i, (_, box) in enumerate(shapes):
            most_common = max([most_common, *(common_share(box, other) for _, other in shapes[:i])])

        is_shape = np.asarray(picture).max(axis=-1) >= MIN_FOREGROUND
        for _, (x, y, width, height) in shapes:
            is_shape[int(y) : int(y + height), int(x) : int(x + width)] = False
        assert not is_shape.any()
    assert max(numbers) >= 10
    assert np.mean(numbers) > 5
    assert 0.1 < most_common <= MAX_COMMON_SHARE


def common_share(a: BoxXywh, b: BoxXywh) -> float:
    """Count the pixels that two boxes have in common, as a share of those of the larger."""
    both = np.zeros((2, 96, 96), dtype=bool)
    for mask, (x, y, width, height) in zip(both, (a, b), strict=True):
        mask[int(y) : int(y + height), int(x) : int(x + width)] = True
    return float(both.all(axis=0).sum() / both.sum(axis=(1, 2)).max())


def test_a_folder_that_an_older_version_drew_goes_on_being_used(tmp_path: Path) -> None:
    drawn = small(tmp_path / "shapes").folder(silent)
    recipe = tmp_path / "shapes" / "shapes.json"
    options = json.loads(recipe.read_text())
    assert options.pop("num_classes") == 3
    for older in ({**options, "drawing": 2}, {name: options[name] for name in options if name != "drawing"}):
        recipe.write_text(json.dumps(older))
        assert small(tmp_path / "shapes").folder(silent) == drawn
        with pytest.raises(InputError, match=r"now asked for .*'num_classes': 1"):
            replace(small(tmp_path / "shapes"), num_classes=1).folder(silent)


def test_a_folder_drawn_otherwise_is_refused(tmp_path: Path) -> None:
    small(tmp_path / "shapes").folder(silent)
    with pytest.raises(InputError, match=r"was drawn with .*'seed': 0.*, now asked for .*'seed': 1"):
        small(tmp_path / "shapes", seed=1).folder(silent)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="exists and holds no embedded data; name another folder"):
        small(tmp_path / "mine").folder(silent)
    assert files_of(tmp_path / "mine") == {"thesis.tex": b"years of work"}


@pytest.mark.parametrize("content", [b"{bad", b"\xff\xfe"])
def test_a_damaged_note_of_how_a_folder_was_drawn_is_one_line(tmp_path: Path, content: bytes) -> None:
    small(tmp_path / "shapes").folder(silent)
    (tmp_path / "shapes" / "shapes.json").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read .*shapes\.json: .*; delete its folder"):
        small(tmp_path / "shapes").folder(silent)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*file/shapes"):
        small(tmp_path / "file" / "shapes").folder(silent)


def test_annotations_name_the_classes(tmp_path: Path) -> None:
    folder = small(tmp_path / "shapes").folder(silent)
    document = json.loads(folder.paths("val")[0].read_text())
    assert document["categories"] == [
        {"id": 1, "name": "circle"},
        {"id": 2, "name": "square"},
        {"id": 3, "name": "triangle"},
    ]


def test_with_one_class_the_same_boxes_are_shapes(tmp_path: Path) -> None:
    three = json.loads(small(tmp_path / "three").folder(silent).paths("train")[0].read_text())
    one = json.loads(replace(small(tmp_path / "one"), num_classes=1).folder(silent).paths("train")[0].read_text())
    assert one["categories"] == [{"id": 1, "name": ONE_CLASS}]
    assert [box["bbox"] for box in one["annotations"]] == [box["bbox"] for box in three["annotations"]]
    assert {box["category_id"] for box in one["annotations"]} == {1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"num_train_images": 0},
            "num_train_images must be from 1 to 1e+06 (they are drawn one by one, a thousand a second), got 0",
        ),
        ({"image_size_px": 40}, "image_size_px must be 48 to 4096, got 40"),
        ({"image_size_px": 10**6}, "image_size_px must be 48 to 4096, got 1000000"),
        ({"seed": -1}, "seed must be from 0 to 1.84467e+19 (a seed has 64 bits), got -1"),
        ({"num_classes": 2}, "num_classes must be 1 or 3, got 2"),
        ({"num_held_out": 0}, "num_held_out must be 1 or more, a whole number, or a share below 1, got 0"),
        ({"split_seed": -1}, "split_seed must be from 0 to 1.84467e+19 (a seed has 64 bits), got -1"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Shapes(Path("x"), **options)


def test_pictures_are_files_that_pillow_opens(tmp_path: Path) -> None:
    folder = small(tmp_path / "shapes").folder(silent)
    for path in folder.paths("train")[1].iterdir():
        with Image.open(path) as image:
            assert image.size == (64, 64)
            assert image.format == "JPEG"


def test_masks_change_neither_pictures_nor_boxes_and_are_written_where_they_are_asked_for_alone(tmp_path: Path) -> None:
    plain, masked = (replace(small(tmp_path / name), masks=name == "masked") for name in ("plain", "masked"))
    files, with_masks = ({} if not each.folder(silent) else files_of(each.root) for each in (plain, masked))
    documents = []
    for content in (files, with_masks):
        documents.append([json.loads(content.pop(f"annotations/instances_{n}2017.json")) for n in ("train", "val")])
        content.pop("shapes.json")
    assert files == with_masks

    for without, with_ in zip(*documents, strict=True):
        assert all("segmentation" not in one for one in without["annotations"])
        for one in with_["annotations"]:
            assert one.pop("segmentation")
            one["area"] = one["bbox"][2] * one["bbox"][3]
        assert without == with_
    assert files_of(tmp_path / "masked") == files_of(
        replace(masked, root=tmp_path / "again").folder(silent).root or tmp_path
    )
    with pytest.raises(InputError, match="now asked for"):
        replace(plain, masks=True).folder(silent)
    with pytest.raises(InputError, match="now asked for"):
        replace(masked, masks=False).folder(silent)


@pytest.mark.parametrize("seed", range(10))
def test_a_mask_is_what_is_seen_of_its_shape(seed: int) -> None:
    picture, shapes = draw_image(np.random.default_rng(seed), 96)
    masks = visible_masks(shapes, 96)
    pixels = np.asarray(picture)

    # Together they are all bright pixels, each belongs to one, and all pixels of one have its colour.
    assert np.array_equal(np.sum(masks, axis=0), pixels.max(axis=-1) >= MIN_FOREGROUND)
    colors = []
    for mask, (_, (x, y, width, height)) in zip(masks, shapes, strict=True):
        assert len(np.unique(pixels[mask], axis=0)) == 1
        colors.append(tuple(pixels[mask][0]))
        outside = mask.copy()
        outside[int(y) : int(y + height), int(x) : int(x + width)] = False
        assert not outside.any()
    assert len(set(colors)) == len(shapes)
