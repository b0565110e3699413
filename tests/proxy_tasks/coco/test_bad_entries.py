import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foundation import InputError
from proxy_tasks import Fidelity, silent
from proxy_tasks.coco.bad_entries import BadEntries, check_share, most_allowed
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.detection.task import DetectionProxy
from proxy_tasks.training.recipe import Recipe
from search_space import Candidate, ModelScale, published_spec

SCALE = ModelScale(
    width_multiplier=0.0625, endpoint_width=8, num_head_convs=1, head_width=8, image_size_px=64, anchor_scale=2.0
)


def small_set(root: Path, num_images: int, boxes: list[list[float]]) -> DetectionProxy:
    """A set as a person has it: pictures of 60 px in one folder, each with these boxes; a quarter is held out."""
    (root / "pictures").mkdir(parents=True)
    images, annotations = [], []
    for i in range(num_images):
        Image.new("RGB", (60, 60), (i % 256, 90, 30)).save(root / "pictures" / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "width": 60, "height": 60})
        annotations += [{"image_id": i, "category_id": 1, "bbox": list(box)} for box in boxes]
    write(root, {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cup"}]})
    data = CocoFolder(root, "train.json", "pictures", "val.json", "pictures", num_held_out=num_images // 4)
    return DetectionProxy(data, SCALE, Recipe(batch_size=4), cache_dir=root / "cache")


def write(root: Path, document: dict[str, Any]) -> None:
    (root / "train.json").write_text(json.dumps(document))


def tolerant(task: DetectionProxy, max_bad_share: float) -> DetectionProxy:
    assert isinstance(task.data, CocoFolder)
    return dataclasses.replace(task, data=dataclasses.replace(task.data, max_bad_share=max_bad_share))


@pytest.mark.parametrize(
    ("num_all", "share", "allowed"),
    [(500, 0.01, 5), (20, 0.01, 1), (1, 0.01, 0), (0, 0.01, 0), (2, 1, 1), (500, 0, 0), (100, 0.29, 29)],
)
def test_a_single_bad_entry_may_be_in_any_case_but_never_all(num_all: int, share: float, allowed: int) -> None:
    assert most_allowed(num_all, share) == allowed


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="max_bad_share must be from 0 to 1, got"):
        check_share(share)


def test_an_empty_box_a_box_outside_and_a_missing_picture_refuse_no_set_and_all_are_listed(tmp_path: Path) -> None:
    task = small_set(tmp_path, 100, [[5, 5, 20, 20], [30, 30, 20, 25], [1, 40, 9, 9]])
    document = json.loads((tmp_path / "train.json").read_text())
    document["annotations"][4]["bbox"] = [5, 5, 0, 20]
    document["annotations"][5]["bbox"] = [50, 40, 12, 9]
    write(tmp_path, document)
    (tmp_path / "pictures" / "7.png").unlink()

    lines = task.prepare(silent)
    (list_file,) = (tmp_path / "cache").glob("pictures-64px-raw-*/bad.txt")
    assert lines[2:8] == (
        "  1 boxes clipped to their image for training",
        "  1 boxes without area in their image scored but not trained on",
        "  1 images that cannot be used left out",
        f"    there is no file {tmp_path}/pictures/7.png",
        "  1 of 100 images are bad",
        "  2 of 300 boxes are bad",
    )
    assert lines[8] == f"  all that is bad is listed in {list_file}"
    assert list_file.read_text().splitlines() == [
        f"image 7: there is no file {tmp_path}/pictures/7.png",
        "annotations[4]: box [5.0, 5.0, 0.0, 20.0] (x, y, width, height) has no area",
        "annotations[5]: box [50.0, 40.0, 12.0, 9.0] (x, y, width, height) leaves its image of [60, 60] px",
    ]
    assert task.prepare(silent) == lines


def test_a_damaged_set_is_refused_and_the_list_holds_what_is_bad_of_every_kind(tmp_path: Path) -> None:
    task = small_set(tmp_path, 100, [[5, 5, 20, 20], [30, 30, 20, 25]])
    document = json.loads((tmp_path / "train.json").read_text())
    for i in (3, 8, 11):
        document["annotations"][i]["bbox"] = [5, 5, 0, 20]
        (tmp_path / "pictures" / f"{i}.png").unlink()
    document["annotations"][50]["image_id"] = 1000
    write(tmp_path, document)

    with pytest.raises(InputError) as caught:
        task.prepare(silent)
    (list_file,) = (tmp_path / "cache").glob("*.bad.txt")
    assert str(caught.value) == (
        f"{tmp_path}/train.json: image 3: there is no file {tmp_path}/pictures/3.png; 3 of 100 images are bad, at most "
        f"1 % may be, see data.max_bad_share; all are listed in {list_file}"
    )
    assert [line.split(":")[0] for line in list_file.read_text().splitlines()] == [
        *("image 3", "image 8", "image 11"),
        "annotations[50]",
        *("annotations[3]", "annotations[8]", "annotations[11]"),
    ]


def test_a_set_of_which_a_quarter_of_the_boxes_overhang_goes_in_with_the_option(tmp_path: Path) -> None:
    # As kwcoco's vidshapes8: 8 of its 32 boxes overhang, by up to a hundred pixels.
    boxes: list[list[float]] = [[5, 5, 20, 20], [30, 30, 20, 25], [1, 40, 9, 9], [40, 45, 30, 30]]
    task = small_set(tmp_path, 8, boxes)
    with pytest.raises(InputError, match=r"leaves its image .*; 8 of 32 boxes are bad, at most 1 % may be"):
        task.prepare(silent)
    lines = tolerant(task, 0.25).prepare(silent)
    assert "  8 of 32 boxes are bad" in lines
    assert "  8 boxes clipped to their image for training" in lines
    with pytest.raises(InputError, match="8 of 32 boxes are bad, at most 24 % may be"):
        tolerant(task, 0.24).prepare(silent)


def test_where_pictures_to_score_on_are_missing_an_evaluation_says_over_how_many_ap_is(tmp_path: Path) -> None:
    task = small_set(tmp_path, 8, [[5, 5, 20, 20]])
    whole = dataclasses.replace(task, cache_dir=tmp_path / "whole")
    assert not any("AP is measured" in line for line in whole.prepare(silent))
    (record,) = (tmp_path / "whole").glob("held_out-*.json")
    missing = json.loads(record.read_text())["held_out"][0]

    (tmp_path / "pictures" / f"{missing}.png").unlink()
    assert task.prepare(silent)[-1] == "1 of 2 images are scored: the others cannot be used"
    metrics = task.evaluate(Candidate(published_spec("spinenet-49")), fidelity=Fidelity(0.1), seed=0).metrics
    assert metrics["num_scored_images"] == 1


def test_a_set_whose_pictures_to_score_on_are_all_missing_is_refused(tmp_path: Path) -> None:
    task = small_set(tmp_path, 4, [[5, 5, 20, 20]])
    dataclasses.replace(task, cache_dir=tmp_path / "whole").prepare(silent)
    (record,) = (tmp_path / "whole").glob("held_out-*.json")
    (tmp_path / "pictures" / f"{json.loads(record.read_text())['held_out'][0]}.png").unlink()
    with pytest.raises(InputError, match=r"train\.json: none of the 0 images to score on has a box, so there is no AP"):
        task.prepare(silent)


def test_names_in_the_list_cannot_steer_a_terminal(tmp_path: Path) -> None:
    bad = BadEntries(tmp_path / "bad.txt")
    bad.note("images", ["image 1: there is no file \x1b[2Ja\nb"], 9)
    bad.check(tmp_path / "instances.json")
    assert (tmp_path / "bad.txt").read_text() == "image 1: there is no file  [2Ja b\n"
