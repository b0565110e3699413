from pathlib import Path

import pytest

from proxy_tasks.detection.data_summary import data_summary, largest_error
from search_space import ModelScale
from tests.proxy_tasks.coco.layouts.small_sets import HEIGHT, WIDTH, coco, draw, prepare, write_json


def test_preparing_says_how_large_objects_are_and_how_many_are_scored(tmp_path: Path) -> None:
    root = tmp_path / "set"
    draw(root / "train")
    write_json(root / "train" / "_annotations.coco.json", coco())
    # Boxes of 11, 12, 13 and 14 x 8 px in pictures of 40 x 20, which become 64 x 32; c.jpg, with 13, is held out. The
    # root of the area is then 15.0, 15.7 and 16.9 px; percentiles lie a fifth of the way between two of three numbers.
    assert prepare(root).lines[3:7] == (
        "objects to train on: 3, half of them below 15.7 px at the search's 64 px, a tenth below 15.1 px and a tenth "
        "above 16.7 px; anchors have 24 to 610 px",
        # Half of the smallest anchor's area is that of 17 x 17 px.
        "  100 % of them are too small to overlap any anchor by half: a larger scale.image_size_px or a smaller "
        "scale.anchor_scale finds more of them",
        "objects to score on: 1 in 1 images; dog has 1, 1 of 2 classes none",
        "  AP on 1 objects may be 0.98 off (95 %): smaller differences between architectures say little",
    )


def test_objects_larger_than_any_anchor_are_counted_and_classes_by_their_objects(tmp_path: Path) -> None:
    root = tmp_path / "set"
    draw(root / "train")
    content = coco()
    content["annotations"][0]["bbox"] = [0, 0, WIDTH, HEIGHT]
    for i in (10, 11):
        content["annotations"].append({"id": i, "image_id": 3, "category_id": 1, "bbox": [1, 1, 9, 9]})
    write_json(root / "train" / "_annotations.coco.json", content)

    # The largest anchor has 0.1 x 128 x 2**(2/3) = 20.3 px; 64 x 32 px is 45.3, the others are below 28.7.
    lines = data_summary(prepare(root).data, ModelScale(image_size_px=64, anchor_scale=0.1))
    assert lines[1] == "  33 % of them are too large to overlap any anchor by half"
    assert lines[2] == "objects to score on: 3 in 1 images; cat has 2, dog 1"


def test_the_error_of_ap_is_that_of_a_share_at_its_largest() -> None:
    # 1.96 standard deviations of a coin: 0.5 / sqrt(n).
    assert largest_error(100) == pytest.approx(0.098)
    assert largest_error(1) == pytest.approx(0.98)
