"""Small data sets as annotation tools write them, by hand after their documentation, and what comes of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.open_data import OpenData, ScoreOn, open_data
from proxy_tasks.detection.task import DetectionProxy
from search_space import ModelScale

WIDTH, HEIGHT = 40, 20
NAMES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
SCALE = ModelScale(image_size_px=64)


class Prepared(NamedTuple):
    """What `prepare` made of a data set.

    Attributes:
        lines: its summary.
        reports: what it reported meanwhile.
        data: the data, opened as a trial opens it.
    """

    lines: tuple[str, ...]
    reports: list[str]
    data: OpenData

    @property
    def classes(self) -> tuple[str, ...]:
        return self.data.train.annotations.category_names

    def boxes(self, name: str, *, split: str = "train") -> list[list[float]]:
        """Return left, top, width and height of the boxes of one picture, found by the end of its name."""
        opened = self.data.train if split == "train" else self.data.val
        assert opened is not None
        annotations = opened.annotations
        (row,) = (i for i, file in enumerate(annotations.file_names) if Path(file).name == name)
        rows = slice(annotations.first_box[row], annotations.first_box[row + 1])
        return [[round(number, 3) for number in box] for box in annotations.boxes_xywh[rows].tolist()]


def task_on(root: Path, score_on: ScoreOn = "held_out", **options: object) -> DetectionProxy:
    data = replace(CocoFolder(root, converted_dir=root.parent / "converted", num_held_out=1), **options)  # type: ignore[arg-type]  # names of its own fields
    return DetectionProxy(data, SCALE, score_on=score_on, cache_dir=root.parent / "cache")


def prepare(root: Path, score_on: ScoreOn = "held_out", **options: object) -> Prepared:
    """Prepare a data set as a search does, and open it as a trial does."""
    reports: list[str] = []
    task = task_on(root, score_on, **options)
    lines = task.prepare(lambda what, num_done, num_total: reports.append(what))
    return Prepared(lines, reports, open_data(task.tied_to_data().data_options))


def draw(folder: Path, names: Sequence[str] = NAMES, *, seed: int = 0) -> None:
    """Draw pictures of one colour, each of another."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        Image.new("RGB", (WIDTH, HEIGHT), (20 * i, 10 * seed, 100)).save(folder / name, quality=95)


def coco(names: Sequence[str] = NAMES, classes: Sequence[str] = ("cat", "dog"), first_id: int = 1) -> dict[str, Any]:
    """Return COCO JSON with one box in each picture, of the classes in turn."""
    return {
        "images": [
            {"id": i, "file_name": name, "width": WIDTH, "height": HEIGHT} for i, name in enumerate(names, first_id)
        ],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": first_id + i % len(classes),
                "bbox": [2, 3, 10 + i, 8],
                "area": 8 * (10 + i),
                "iscrowd": 0,
                "segmentation": [],
            }
            for i in range(first_id, first_id + len(names))
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(classes, first_id)],
    }


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_text(root: Path, files: Mapping[str, str]) -> None:
    """Write text files by their names below a folder."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
