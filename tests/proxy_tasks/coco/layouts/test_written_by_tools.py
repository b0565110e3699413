"""Data sets as annotation tools wrote them: the same objects are read from each.

`written/` holds what these made of four pictures of 40 x 20 px, the last without an object, and Datumaro of two more to
validate on: supervision 0.31.2 (`as_yolo`, `as_pascal_voc`, `as_coco`), label-studio-converter 0.0.59 (YOLO, VOC, COCO)
and Datumaro 1.13.12 (`coco_instances`, `yolo_ultralytics`, `voc_detection`). CVAT writes by Datumaro; Roboflow writes
on its own servers, and its layout is tested by hand-written sets and by supervision's COCO, which follows it.
"""

import shutil
from pathlib import Path

import pytest

from foundation import InputError
from tests.proxy_tasks.coco.layouts.small_sets import Prepared, prepare

WRITTEN = Path(__file__).parent / "written"
LEFT_PX = {"supervision": (2, 2, 2), "label_studio": (2, 2, 2), "datumaro": (2, 3, 4, None, 6, 7)}
"""Left edge of the object in each picture as the tool was given it; None where there is no object."""
TITLES = {
    "supervision/yolo": "YOLO's layout, data.yaml",
    "supervision/voc": "Pascal VOC's layout",
    "supervision/coco": "Roboflow's layout",
    "label_studio/yolo": "YOLO's layout, classes.txt",
    "label_studio/voc": "Pascal VOC's layout",
    "label_studio/coco": "Label Studio's layout",
    "datumaro/yolo": "YOLO's layout, data.yaml",
    "datumaro/voc": "Pascal VOC's layout",
    "datumaro/coco": "the layout of CVAT and Datumaro",
}
NAMES = {"label_studio": ("0f3c-a_b.jpg", "1f3c-b.jpg", "2f3c-c.jpg", "3f3c-d.jpg")}
PICTURES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")


@pytest.fixture(params=sorted(TITLES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(WRITTEN / name, tmp_path / "set"))


def labels(prepared: Prepared) -> list[str]:
    annotations = prepared.data.train.annotations
    return [annotations.category_names[label] for label in annotations.labels.tolist()]


def as_read(name: str, left_px: float | None, width_px: float) -> object:
    """Return the box that is to be read where `left_px`, 3 px from above, `width_px` and 8 px of height were drawn."""
    assert left_px is not None
    box = [left_px, 3, width_px, 8]
    if name in ("datumaro/voc", "label_studio/voc"):
        # They count pixels from 0, the format does from 1, and no file says which: the box is a pixel larger.
        box = [left_px - 1, 2, width_px + 1, 9]
    return pytest.approx(box, abs=0.01)


def test_the_layout_is_recognised_and_the_objects_are_those_that_were_drawn(name: str, root: Path) -> None:
    prepared = prepare(root)
    assert any(what.startswith(TITLES[name]) for what in prepared.reports)
    assert labels(prepared) == ["cat", "dog", "cat"]

    tool = name.partition("/")[0]
    for i, picture in enumerate(NAMES.get(tool, PICTURES)[:3]):
        assert prepared.boxes(picture) == [as_read(name, LEFT_PX[tool][i], 10 + i)]


def test_a_picture_without_objects_is_one_to_train_on(name: str, root: Path) -> None:
    # Label Studio's VOC has no list and no XML for it: that it was looked at, nothing says.
    num_pictures = 3 if name == "label_studio/voc" else 4
    assert prepare(root).data.train.annotations.num_images == num_pictures


@pytest.mark.parametrize("name", [name for name in TITLES if name.startswith("datumaro")], indirect=True)
def test_the_validation_set_is_found(root: Path, name: str) -> None:
    prepared = prepare(root, "val")
    assert prepared.boxes("e.jpg", split="val") == [as_read(name, 6, 14)]
    assert prepared.boxes("f.jpg", split="val") == [as_read(name, 7, 15)]


def test_a_missing_picture_is_one_line_that_names_it(name: str, root: Path) -> None:
    picture = NAMES.get(name.partition("/")[0], PICTURES)[0]
    for path in root.rglob(picture):
        path.unlink()
    with pytest.raises(InputError, match=rf"(?s)^(?!.*\n).*{Path(picture).stem}"):
        prepare(root, max_bad_share=0)


# The others name classes in full.
@pytest.mark.parametrize("name", [name for name in TITLES if name.endswith("/yolo")], indirect=True)
def test_classes_and_labels_that_disagree_are_one_line(root: Path) -> None:
    for path in root.rglob("*.txt"):
        if path.parent.name in ("labels", "train", "val") and path.stem.endswith("b"):
            path.write_text("7" + path.read_text()[1:])
    with pytest.raises(InputError, match=r"line 1: .*7.*"):
        prepare(root)
