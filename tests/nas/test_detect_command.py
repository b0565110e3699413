"""nas.detect: pictures with boxes, results as COCO has them, and pictures that cannot be read."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from nas.detecting.pictures import find_pictures
from proxy_tasks.detection.detector import load_detector
from proxy_tasks.detection.detector_file import save_detector
from tests.conftest import Run
from tests.proxy_tasks.detection.test_detector import INFO, a_picture, opened, untrained

OPTIONS = ("weights=detector.pt", "images=photos", "out=found", "device=cpu", "precision=float32", "min_score=0.2")


def test_pictures_get_boxes_bad_ones_cost_a_line_and_nothing_is_overwritten(tmp_path: Path, call: Run) -> None:
    save_detector(tmp_path / "detector.pt", INFO, raw=untrained(0).network.state_dict())
    photos = tmp_path / "photos"
    photos.mkdir()
    a_picture(60, 90).save(photos / "b.png")
    a_picture(500, 700, seed=1).save(photos / "a.jpg")
    (photos / "c.jpg").write_bytes((photos / "a.jpg").read_bytes()[:2000])
    (photos / "notes.txt").write_text("no picture")

    # Turned by EXIF as cameras do: viewers show it upright, and boxes belong to what they show.
    exif = Image.Exif()
    exif[0x0112] = 6
    a_picture(40, 80).save(photos / "d.jpg", exif=exif)

    before = {path: path.read_bytes() for path in photos.iterdir()}
    shown = call("nas.detect", *OPTIONS, "batch_size=2")
    assert shown.returncode == 2
    lines = shown.stderr.splitlines()
    assert lines[-2].startswith(f"error: cannot decode {photos}/c.jpg: ")
    assert lines[-1] == "error: 1 of 4 pictures could not be read, as said above"
    assert {path: path.read_bytes() for path in photos.iterdir()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["detector.pt", "found", "photos"]

    found = tmp_path / "found"
    assert sorted(path.name for path in found.iterdir()) == ["a.jpg", "b.png", "d.jpg", "images.json", "results.json"]
    images = json.loads((found / "images.json").read_text())
    assert [(one["id"], one["picture"], one["width"], one["height"]) for one in images["images"]] == [
        (1, "a.jpg", 700, 500),
        (2, "b.png", 90, 60),
        (4, "d.jpg", 40, 80),
    ]
    # Small pictures are enlarged, so that names can be read; the boxes on file are those of the picture.
    assert [opened(found / name).size for name in ("a.jpg", "b.png", "d.jpg")] == [
        (700, 500),
        (540, 360),
        (240, 480),
    ]

    results = json.loads((found / "results.json").read_text())
    assert shown.stdout == f"{len(results)} objects in 3 pictures: found\n"
    truth = COCO()
    truth.dataset = images | {"annotations": []}
    truth.createIndex()
    assert len(truth.loadRes(results).anns) == len(results) > 0
    detector = load_detector(tmp_path / "detector.pt", device="cpu", precision="float32")
    alone = detector.detect(opened(photos / "b.png"), min_score=0.2)
    mine = [one for one in results if one["image_id"] == 2]
    assert [one["score"] for one in mine] == pytest.approx(alone.scores.tolist(), abs=1e-4)
    assert [one["category_id"] for one in mine] == [INFO.categories[k].id for k in alone.labels.tolist()]
    corners = np.array([one["bbox"] for one in mine]).reshape(-1, 4)
    assert np.hstack((corners[:, :2], corners[:, :2] + corners[:, 2:])) == pytest.approx(
        alone.boxes_xyxy.numpy(), abs=0.02
    )

    again = call("nas.detect", *OPTIONS)
    assert (again.returncode, again.stderr) == (
        2,
        "error: found/results.json exists: name another folder, or replace what is there with overwrite=true\n",
    )
    (found / "b.png").unlink()
    (found / "b.png").symlink_to(tmp_path / "outside.png")
    (photos / "c.jpg").unlink()
    replaced = call("nas.detect", *OPTIONS, "overwrite=true", "-q")
    assert (replaced.returncode, replaced.stdout, replaced.stderr) == (0, "", "")
    assert not (tmp_path / "outside.png").exists()
    assert not (found / "b.png").is_symlink()


def test_mistakes_are_one_line_and_write_nothing(tmp_path: Path, call: Run) -> None:
    (tmp_path / "photos").mkdir()
    for arguments, message in (
        (("images=none",), "images=none: there is no such file or folder"),
        (("images=photos",), "images=photos: no file in this folder has the ending of a picture, as .jpg"),
        (("images=[]",), "images needs a file or a folder, got none"),
        (("images=photos", "min_score=2"), "min_score must be from 0 to 0.999"),
    ):
        refused = call("nas.detect", "weights=detector.pt", "out=found", *arguments)
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"error: {message}")

    a_picture(8, 8).save(tmp_path / "photos" / "a.png")
    for arguments, message in (
        (("out=photos", "overwrite=true"), "out=photos holds the pictures themselves: name another folder"),
        (("out=found",), f"{tmp_path}/detector.pt is not there"),
    ):
        refused = call("nas.detect", "weights=detector.pt", "images=photos", *arguments)
        assert refused.stderr == f"error: {message}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_pictures_of_equal_names_get_names_of_their_own_and_numbers_are_kept(tmp_path: Path) -> None:
    for name in ("a/000139.jpg", "a/7.webp", "b/000139.jpg", "b/12.JPG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_pictures([tmp_path / "a", tmp_path / "b"])
    assert [one.result_name for one in found] == ["000139.jpg", "7.png", "000139-2.jpg", "12.JPG"]
    assert [one.image_id for one in found] == [1, 2, 3, 4]
    assert [one.image_id for one in find_pictures([tmp_path / "b", tmp_path / "b" / "12.JPG"])] == [139, 12]
