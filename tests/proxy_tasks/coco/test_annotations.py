import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foundation import InputError
from proxy_tasks.coco.annotation_file import read_annotations
from proxy_tasks.coco.annotations import NO_CATEGORY, Annotations, with_id_labels
from proxy_tasks.coco.bad_entries import BadEntries


def document() -> dict[str, Any]:
    return {
        "info": {"year": 2026},
        "images": [
            {"id": 9, "file_name": "b.jpg", "width": 40, "height": 30, "license": 1},
            {"id": 4, "file_name": "a.png", "width": 20, "height": 20},
        ],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 90, "bbox": [1, 2, 10, 20], "area": 150.5, "iscrowd": 1},
            {"id": 2, "image_id": 9, "category_id": 3, "bbox": [0, 0, 40, 30], "segmentation": [[0, 0, 1, 1]]},
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car", "supercategory": "vehicle"}],
    }


def read(folder: Path, content: str | dict[str, Any], max_bad_share: float = 0.01) -> Annotations:
    """Write a document and its images, and read it; what is bad is listed in bad.txt."""
    images = folder / "images"
    images.mkdir(exist_ok=True)
    Image.new("RGB", (40, 30)).save(images / "b.jpg")
    Image.new("RGB", (20, 20)).save(images / "a.png")
    path = folder / "instances.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_annotations(path, images, BadEntries(folder / "bad.txt", max_bad_share))


def test_a_coco_file_is_read_in_order_of_ids(tmp_path: Path) -> None:
    annotations = read(tmp_path, document())
    assert annotations.image_ids.tolist() == [4, 9]
    assert annotations.file_names == ("a.png", "b.jpg")
    assert annotations.sizes_px.tolist() == [[20, 20], [30, 40]]
    assert annotations.first_box.tolist() == [0, 0, 2]
    assert annotations.boxes_xyxy.tolist() == [[1, 2, 11, 22], [0, 0, 40, 30]]
    assert annotations.category_ids == (3, 90)
    assert annotations.category_names == ("car", "toothbrush")
    assert annotations.labels.tolist() == [1, 0]
    assert annotations.is_crowd.tolist() == [True, False]
    assert annotations.areas.tolist() == [150.5, 1200.0]
    assert not annotations.repairs


def test_ids_as_labels_leave_gaps(tmp_path: Path) -> None:
    dense = read(tmp_path, document())
    by_id = with_id_labels(dense)
    assert by_id.labels.tolist() == [90, 3]
    assert by_id.category_ids == tuple(range(91))
    assert {i: name for i, name in enumerate(by_id.category_names) if name != NO_CATEGORY} == {
        3: "car",
        90: "toothbrush",
    }
    assert by_id.boxes_xyxy is dense.boxes_xyxy


@pytest.mark.parametrize("number", [-1, 10_000])
def test_ids_that_make_no_labels_are_refused(tmp_path: Path, number: int) -> None:
    wrong = document()
    wrong["categories"].append({"id": number, "name": "far"})
    with pytest.raises(InputError, match="category ids as classes must lie in 0 to 9999, got"):
        with_id_labels(read(tmp_path, wrong))


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("images"), "images: Field required"),
        (lambda d: d["images"].clear(), "there are no images"),
        (lambda d: d["categories"].clear(), "there are no categories"),
        (lambda d: d["images"][1].update(id=9), "images has id 9 twice"),
        (lambda d: d["categories"][1].update(id=90), "categories has id 90 twice"),
        (lambda d: d["images"][1].update(file_name="b.jpg"), "images has file_name b.jpg twice"),
        (lambda d: d["images"][0].update(width="wide"), "images[0].width: Input should be a valid integer"),
        (
            lambda d: d["images"][0].update(width=0),
            "images[0].width: Input should be greater than or equal to 1, got 0",
        ),
        (lambda d: d["images"][0].update(height=2**70), "images[0].height: Input should be less than or equal to"),
        (lambda d: d["images"][0].update(id=2**70), "images[0].id: Input should be less than"),
        (lambda d: d["annotations"][1].update(id=1), "annotations has id 1 twice"),
        (
            lambda d: d["annotations"][1].update(area=-4),
            "annotations[1].area: Input should be greater than or equal to 0",
        ),
        (lambda d: d["annotations"][1].update(bbox=[1e308, 1, 1e308, 5]), "leaves its image"),
        (lambda d: d["images"][0].update(file_name="c.jpg"), "image 9: there is no file"),
        (lambda d: d["images"][0].update(file_name="../b.jpg"), "file_name '../b.jpg' leads out of the image folder"),
        (lambda d: d["images"][0].update(file_name="x/../../b.jpg"), "leads out of the image folder"),
        (lambda d: d["images"][0].update(file_name="/etc/passwd"), "leads out of the image folder"),
        (lambda d: d["images"][0].update(file_name="x\\..\\..\\b.jpg"), "leads out of the image folder"),
        (lambda d: d["images"][0].update(file_name="C:\\images\\b.jpg"), "leads out of the image folder"),
        (lambda d: d["annotations"][1].update(image_id=5), "annotations[1]: unknown image_id 5"),
        (lambda d: d["annotations"][1].update(category_id=5), "annotations[1]: unknown category_id 5"),
        (lambda d: d["annotations"][1].pop("bbox"), "annotations[1].bbox: Field required"),
        (lambda d: d["annotations"][1].update(bbox=[1, 2, 3]), "annotations[1].bbox[3]: Field required"),
        (
            lambda d: d["annotations"][1].update(bbox=[1, 2, 0, 3]),
            "[1.0, 2.0, 0.0, 3.0] (x, y, width, height) has no area",
        ),
        (lambda d: d["annotations"][1].update(bbox=[1, 2, 3, -3]), "annotation 2: box"),
        (lambda d: d["annotations"][1].update(bbox=[30, 2, 15, 3]), "leaves its image of [40, 30] px; 1 of 2 boxes"),
        (lambda d: d["annotations"][1].update(bbox=[-5, 2, 15, 3]), "leaves its image of [40, 30] px"),
    ],
)
def test_bad_annotations_are_refused_in_one_line(tmp_path: Path, change: Change, message: str) -> None:
    content = document()
    change(content)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read(tmp_path, content, max_bad_share=0)
    assert "\n" not in str(caught.value)
    assert "instances.json" in str(caught.value)


@pytest.mark.parametrize("text", ["", "not json", json.dumps(document())[:200], "[]", "{}", "null"])
def test_what_is_no_coco_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"instances\.json: "):
        read(tmp_path, text)


def test_not_a_number_is_no_box(tmp_path: Path) -> None:
    text = json.dumps(document()).replace("[1, 2, 10, 20]", "[1, 2, NaN, 20]")
    with pytest.raises(InputError, match=r"annotation 1: box \[1.0, 2.0, nan, 20.0\]"):
        read(tmp_path, text, max_bad_share=0)


def many_good_boxes() -> dict[str, Any]:
    content = document()
    good = {"image_id": 4, "category_id": 3, "bbox": [1, 1, 5, 5]}
    content["annotations"] = [{**good, "id": i} for i in range(2998)]
    return content


def test_a_few_bad_boxes_among_many_are_repaired_and_counted(tmp_path: Path) -> None:
    # COCO 2017 itself holds a few boxes without area among 860,000.
    content = many_good_boxes()
    good = content["annotations"][0]
    content["annotations"].append({**good, "id": 5000, "bbox": [15, 15, 10, 3]})
    content["annotations"].append({**good, "id": 5001, "bbox": [5, 5, 0, 3]})
    annotations = read(tmp_path, content)
    assert annotations.repairs == {
        "boxes clipped to their image for training": 1,
        "boxes without area in their image scored but not trained on": 1,
    }
    assert annotations.boxes_xyxy[-2].tolist() == [15, 15, 20, 18]
    assert annotations.boxes_xywh[-2:].tolist() == [[15, 15, 10, 3], [5, 5, 0, 3]]
    assert annotations.is_trained_on.tolist() == [True] * 2999 + [False]


def test_a_box_that_is_no_number_among_many_is_left_out_and_counted(tmp_path: Path) -> None:
    content = many_good_boxes()
    content["annotations"].append({**content["annotations"][0], "id": 5000, "bbox": [1, 2, math.nan, 3]})
    annotations = read(tmp_path, content)
    assert annotations.repairs == {"boxes that are no numbers left out": 1}
    assert len(annotations.boxes_xyxy) == 2998


def test_a_few_boxes_of_images_that_are_not_listed_are_left_out_and_counted(tmp_path: Path) -> None:
    content = many_good_boxes()
    content["annotations"].insert(5, {**content["annotations"][0], "id": 5000, "image_id": 77})
    annotations = read(tmp_path, content)
    assert annotations.repairs == {"boxes of images that are not listed left out": 1}
    assert len(annotations.boxes_xyxy) == 2998


def test_taking_images_takes_their_boxes(tmp_path: Path) -> None:
    content = document()
    content["annotations"].append({"id": 3, "image_id": 4, "category_id": 3, "bbox": [3, 3, 5, 5]})
    annotations = read(tmp_path, content)
    turned = annotations.take(np.array([1, 0]))
    assert turned.image_ids.tolist() == [9, 4]
    assert turned.first_box.tolist() == [0, 2, 3]
    assert turned.boxes_xyxy.tolist() == [[1, 2, 11, 22], [0, 0, 40, 30], [3, 3, 8, 8]]
    assert turned.labels.tolist() == [1, 0, 0]
    assert annotations.take(np.array([], dtype=int)).num_images == 0


def test_boxes_that_stick_out_by_less_than_a_pixel_are_clipped_for_training_and_counted(tmp_path: Path) -> None:
    content = document()
    content["annotations"][1]["bbox"] = [-0.4, 0, 40.9, 30.5]
    annotations = read(tmp_path, content)
    assert annotations.boxes_xyxy[1].tolist() == [0, 0, 40, 30]
    assert annotations.boxes_xywh[1].tolist() == [-0.4, 0, 40.9, 30.5]
    assert annotations.repairs == {"boxes clipped to their image for training": 1}


def test_a_box_that_lies_wholly_in_the_pixel_around_its_image_is_counted_and_scored(tmp_path: Path) -> None:
    content = document()
    content["annotations"][1]["bbox"] = [40.2, 5, 0.7, 5]
    annotations = read(tmp_path, content)
    assert annotations.boxes_xywh[1].tolist() == [40.2, 5, 0.7, 5]
    assert annotations.is_trained_on.tolist() == [False, False]
    assert annotations.repairs == {"boxes without area in their image scored but not trained on": 1}


def test_a_sum_that_floating_point_rounds_is_no_repair(tmp_path: Path) -> None:
    content = document()
    content["annotations"][1]["bbox"] = [0.1, 0, 39.900000000000006, 30]
    annotations = read(tmp_path, content)
    assert not annotations.repairs


def test_a_file_without_annotations_has_no_boxes(tmp_path: Path) -> None:
    content = document()
    content["annotations"] = []
    annotations = read(tmp_path, content)
    assert annotations.boxes_xyxy.shape == (0, 4)
    assert np.array_equal(annotations.first_box, [0, 0, 0])


def with_boxes(boxes_xywh: np.ndarray, size: tuple[int, int] = (640, 480)) -> dict[str, Any]:
    """A document whose image 9 has these boxes."""
    content = document()
    content["images"][0].update(width=size[0], height=size[1])
    content["annotations"] = [
        {"id": i, "image_id": 9, "category_id": 3, "bbox": box} for i, box in enumerate(boxes_xywh.tolist())
    ]
    return content


def true_boxes(number: int, largest_share: float) -> np.ndarray:
    """Boxes anywhere in an image of 640x480 px, some of which touch its edges; (N, 4) as COCO has them."""
    rng = np.random.default_rng(7)
    size = np.array([640, 480])
    sides = size * rng.uniform(0.005, largest_share, (number, 2))
    corner = ((size - sides) * rng.beta(0.7, 0.7, (number, 2))).clip(0, size - sides)
    return np.concatenate((corner, sides), axis=1)


@pytest.mark.parametrize("largest_share", [0.03, 0.3, 1.0], ids=["small", "middling", "large"])
@pytest.mark.parametrize("number", [100, 3000])
@pytest.mark.parametrize(
    ("style", "message"),
    [
        ("corners", "look like corners (x1, y1, x2, y2)"),
        ("centres", "look like centres and sizes (centre x, centre y, width, height)"),
        ("normalised", "look normalised: they lie in 0 to 1"),
    ],
)
def test_boxes_of_another_format_are_recognised_from_the_whole_set(
    tmp_path: Path, style: str, message: str, number: int, largest_share: float
) -> None:
    boxes = true_boxes(number, largest_share)
    match style:
        case "corners":
            boxes[:, 2:] += boxes[:, :2]
        case "centres":
            boxes[:, :2] += boxes[:, 2:] / 2
        case _:
            boxes /= [640, 480, 640, 480]
    with pytest.raises(InputError, match=re.escape(f"instances.json: the boxes {message}; ")) as caught:
        read(tmp_path, with_boxes(boxes))
    assert str(caught.value).endswith("expected x, y, width, height in pixels, x and y of the top left corner")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("largest_share", [0.03, 0.3, 1.0], ids=["small", "middling", "large"])
@pytest.mark.parametrize("number", [1, 20, 3000])
def test_true_boxes_are_taken_for_no_other_format(tmp_path: Path, number: int, largest_share: float) -> None:
    annotations = read(tmp_path, with_boxes(true_boxes(number, largest_share)))
    assert len(annotations.boxes_xyxy) == number


def test_one_large_object_in_each_image_is_taken_for_no_corners(tmp_path: Path) -> None:
    boxes = np.tile([[100, 80, 400, 350]], (2000, 1))
    boxes[7, 2] = 560
    annotations = read(tmp_path, with_boxes(boxes))
    assert len(annotations.boxes_xyxy) == 2000


def test_a_bad_box_among_good_ones_is_named_and_no_format_is_suspected(tmp_path: Path) -> None:
    boxes = true_boxes(100, 0.3)
    boxes[3] = [600, 10, 100, 30]
    with pytest.raises(InputError, match=r"annotation 3: box .* leaves its image of \[640, 480\] px; 1 of 100 boxes"):
        read(tmp_path, with_boxes(boxes), max_bad_share=0)


def test_null_in_an_optional_field_is_as_if_it_were_missing(tmp_path: Path) -> None:
    content = document()
    content["info"] = content["categories"][0]["supercategory"] = None
    content["images"][0]["license"] = None
    for annotation in content["annotations"]:
        annotation.update(id=None, area=None, iscrowd=None, segmentation=None)
    annotations = read(tmp_path, content)
    assert annotations.areas.tolist() == [200.0, 1200.0]
    assert not annotations.is_crowd.any()


def test_annotations_need_no_ids_and_are_then_named_by_their_place(tmp_path: Path) -> None:
    content = document()
    for annotation in content["annotations"]:
        del annotation["id"]
    assert len(read(tmp_path, content).labels) == 2
    content["annotations"][1]["bbox"][2] = 0
    with pytest.raises(InputError, match=r"instances\.json: annotations\[1\]: box .* has no area"):
        read(tmp_path, content, max_bad_share=0)


@pytest.mark.parametrize("through_a_link", [False, True])
def test_backslashes_and_absolute_paths_below_the_image_folder_are_understood(
    tmp_path: Path, through_a_link: bool
) -> None:
    (tmp_path / "set" / "images" / "day").mkdir(parents=True)
    (tmp_path / "link").symlink_to("set")
    folder = tmp_path / ("link" if through_a_link else "set")
    Image.new("RGB", (40, 30)).save(folder / "images" / "day" / "b.jpg")
    Image.new("RGB", (20, 20)).save(folder / "images" / "day\\c.png")
    content = document()
    content["images"][0]["file_name"] = "day\\b.jpg"
    content["images"][1]["file_name"] = str(tmp_path / "set" / "images" / "a.png")
    content["images"].append({"id": 11, "file_name": "day\\c.png", "width": 20, "height": 20})
    assert read(folder, content, max_bad_share=0).file_names == ("a.png", "day/b.jpg", "day\\c.png")


def test_names_of_one_file_in_two_spellings_are_refused(tmp_path: Path) -> None:
    content = document()
    content["images"][1]["file_name"] = "./b.jpg"
    with pytest.raises(InputError, match=r"images has file_name b\.jpg twice"):
        read(tmp_path, content)
