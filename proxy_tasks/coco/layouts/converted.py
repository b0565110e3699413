"""Annotations of other formats, written as COCO JSON into a folder of ours: the data set itself may be read-only."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from foundation import InputError, absolute_path, make_folder, write_whole

VERSION = 1
"""Version of how annotations are converted; it is part of each digest."""


class Box(NamedTuple):
    """An object of a picture.

    Attributes:
        class_index: key of its class.
        xywh: left, top, width and height in pixels.
        polygon: its outline in pixels, x and y of each corner; empty where none is known.
        is_crowd: whether it is neither trained on nor counted against detections.
    """

    class_index: int
    xywh: tuple[float, float, float, float]
    polygon: tuple[float, ...] = ()
    is_crowd: bool = False


class Picture(NamedTuple):
    """A picture with its objects.

    Attributes:
        name: of its file, below the folder of the pictures.
        size_px: height and width.
        boxes: its objects.
    """

    name: str
    size_px: tuple[int, int]
    boxes: Sequence[Box]


def coco_document(pictures: Sequence[Picture], classes: Mapping[int, str]) -> bytes:
    """Return pictures as COCO JSON: numbered from 1 in their order, categories from 1 in the order of their keys."""
    category_of = {index: number for number, index in enumerate(sorted(classes), start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, picture in enumerate(pictures, start=1):
        height, width = picture.size_px
        images.append({"id": image_id, "file_name": picture.name, "height": height, "width": width})
        for box in picture.boxes:
            number = len(annotations) + 1
            annotations.append(
                {"id": number, "image_id": image_id, "category_id": category_of[box.class_index], **_as_coco(box)}
            )

    categories = [{"id": category_of[index], "name": classes[index]} for index in sorted(classes)]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories}).encode()


def written(folder: Path, name: str, digest: str, make: Callable[[], bytes]) -> Path:
    """Return the file of converted annotations; it is written where there is none of this content yet.

    Args:
        folder: of all converted annotations.
        name: beginning of the file's name.
        digest: hex digits that stand for all that they are made of.
        make: returns them.

    Raises:
        InputError: it cannot be written, or as `make`.
    """
    path = absolute_path(folder) / f"{name}-{digest[:16]}.json"
    if path.exists():
        return path

    content = make()
    try:
        make_folder(path.parent)
    except OSError as error:
        raise InputError(
            f"cannot write the converted annotations {path}: {error.strerror}; see data.converted_dir"
        ) from None
    write_whole(path, content)
    return path


def folder_of(files: Sequence[Path]) -> Path:
    """Return the innermost folder that holds all files."""
    return Path(os.path.commonpath([file.parent for file in files]))


def _as_coco(box: Box) -> dict[str, Any]:
    fields: dict[str, Any] = {"bbox": box.xywh, "iscrowd": int(box.is_crowd)}
    if box.polygon:
        fields |= {"segmentation": [box.polygon], "area": _area(box.polygon)}
    return fields


def _area(polygon: Sequence[float]) -> float:
    """Return the area of a polygon, by the shoelace formula."""
    corners = list(zip(polygon[::2], polygon[1::2], strict=True))
    following = [*corners[1:], corners[0]]
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(corners, following, strict=True))) / 2
