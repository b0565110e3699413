"""A COCO annotation file as arrays, checked."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from search_space.errors import InputError
from search_space.spec_file import first_error

MAX_BAD_SHARE = 0.001
"""Boxes that lie outside their image or have no area are repaired up to this share of all boxes.

COCO 2017 itself holds a few. More means that the file is not what it says, as with corners in place of sizes.
"""
OVERHANG_PX = 1.0
"""Boxes may stick out of the image by so much: annotation tools round."""
NO_CATEGORY = "(no category)"
"""Name of a class that no category has; see `with_id_labels`."""
_MAX_ID_LABELS = 10_000


_Id = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Pixels = Annotated[int, Field(ge=1, le=2**20)]


class _Image(TypedDict):
    id: _Id
    file_name: str
    width: _Pixels
    height: _Pixels


class _Annotation(TypedDict, total=False):
    id: _Id
    image_id: _Id
    category_id: _Id
    bbox: tuple[float, float, float, float]
    area: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    iscrowd: int


class _Category(TypedDict):
    id: _Id
    name: str


class _Document(TypedDict):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


_DOCUMENT = TypeAdapter(_Document)


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """Images and boxes of one annotation file; N images, M boxes, K classes.

    Attributes:
        image_ids: (N,) as in the file.
        file_names: (N,) below the image folder.
        sizes_px: (N, 2) height and width.
        first_box: (N + 1,) boxes of image i are rows `first_box[i] : first_box[i + 1]`.
        boxes_xyxy: (M, 4) corners in pixels of the original image, inside it.
        labels: (M,) class index in 0 .. K-1.
        is_crowd: (M,) whether a box stands for a group that detections are not counted against.
        areas: (M,) as in the file, pixels squared; decides whether COCO calls an object small, medium or large.
        category_ids: (K,) the file's ids, ascending; they may have gaps.
        category_names: (K,).
        num_repaired: boxes that were clipped to their image or dropped.
    """

    image_ids: NDArray[np.int64]
    file_names: tuple[str, ...]
    sizes_px: NDArray[np.int64]
    first_box: NDArray[np.int64]
    boxes_xyxy: NDArray[np.float64]
    labels: NDArray[np.int64]
    is_crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    category_ids: tuple[int, ...]
    category_names: tuple[str, ...]
    num_repaired: int

    @property
    def num_images(self) -> int:
        """N."""
        return len(self.file_names)


def with_id_labels(annotations: Annotations) -> Annotations:
    """Return the same with the categories' own ids as labels, gaps included: 91 classes for COCO, 0 for background.

    Classes that no category has are named `NO_CATEGORY`.

    Raises:
        InputError: an id below 0 or above 9,999, which would make as many classes.
    """
    ids = annotations.category_ids
    if not 0 <= min(ids) <= max(ids) < _MAX_ID_LABELS:
        raise InputError(f"category ids as classes must lie in 0 to {_MAX_ID_LABELS - 1}, got {min(ids)} to {max(ids)}")
    names = dict(zip(ids, annotations.category_names, strict=True))
    return replace(
        annotations,
        labels=np.array(ids, dtype=np.int64)[annotations.labels],
        category_ids=tuple(range(max(ids) + 1)),
        category_names=tuple(names.get(i, NO_CATEGORY) for i in range(max(ids) + 1)),
    )


def read_annotations(path: Path, image_dir: Path) -> Annotations:
    """Read a COCO `instances_*.json` and check it against the image folder.

    Raises:
        InputError: not JSON, a field missing or of the wrong type, no images or categories, an id used twice, an image
            file that is not there or lies outside the folder, an annotation of an unknown image or category, or more
            than `MAX_BAD_SHARE` of the boxes outside their image or without area. The message names the first.
    """
    try:
        document = _DOCUMENT.validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}") from None
    images = sorted(document["images"], key=lambda image: image["id"])
    categories = sorted(document["categories"], key=lambda category: category["id"])
    for name, number in (("images", len(images)), ("categories", len(categories))):
        if not number:
            raise InputError(f"{path}: there are no {name}")
    _check_ids(path, "images", (image["id"] for image in images))
    _check_ids(path, "categories", (category["id"] for category in categories))
    for image in images:
        _check_image(path, image_dir, image)
    row_of = {image["id"]: i for i, image in enumerate(images)}
    label_of = {category["id"]: k for k, category in enumerate(categories)}
    required = ("id", "image_id", "category_id", "bbox")
    for i, annotation in enumerate(document["annotations"]):
        if missing := [name for name in required if name not in annotation]:
            raise InputError(f"{path}: annotations[{i}].{missing[0]}: Field required")
        for name, known in (("image_id", row_of), ("category_id", label_of)):
            if annotation[name] not in known:  # type: ignore[literal-required]  # the name is one of the two above
                raise InputError(f"{path}: annotations[{i}]: unknown {name} {annotation[name]}")  # type: ignore[literal-required]  # as above
    _check_ids(path, "annotations", (annotation["id"] for annotation in document["annotations"]))
    annotations = sorted(document["annotations"], key=lambda annotation: row_of[annotation["image_id"]])
    rows = np.array([row_of[a["image_id"]] for a in annotations], dtype=np.int64)
    sizes = np.array([(image["height"], image["width"]) for image in images], dtype=np.int64)
    raw = np.array([a["bbox"] for a in annotations], dtype=np.float64).reshape(-1, 4)
    boxes, keep, num_repaired = _repair_boxes(path, raw, sizes[rows], [a["id"] for a in annotations])
    areas = np.array([a.get("area", a["bbox"][2] * a["bbox"][3]) for a in annotations], dtype=np.float64)
    return Annotations(
        image_ids=np.array([image["id"] for image in images], dtype=np.int64),
        file_names=tuple(image["file_name"] for image in images),
        sizes_px=sizes,
        first_box=np.searchsorted(rows[keep], np.arange(len(images) + 1)),
        boxes_xyxy=boxes[keep],
        labels=np.array([label_of[a["category_id"]] for a in annotations], dtype=np.int64)[keep],
        is_crowd=np.array([a.get("iscrowd", 0) for a in annotations], dtype=np.bool_)[keep],
        areas=areas[keep],
        category_ids=tuple(category["id"] for category in categories),
        category_names=tuple(category["name"] for category in categories),
        num_repaired=num_repaired,
    )


def _check_ids(path: Path, name: str, ids: Iterable[int]) -> None:
    number, times = Counter(ids).most_common(1)[0] if (ids := list(ids)) else (0, 0)
    if times > 1:
        raise InputError(f"{path}: {name} has id {number} {'twice' if times == 2 else f'{times} times'}")


def _check_image(path: Path, image_dir: Path, image: _Image) -> None:
    name = PurePosixPath(image["file_name"])
    if name.is_absolute() or ".." in name.parts:
        raise InputError(f"{path}: image {image['id']}: file_name {image['file_name']!r} leads out of the image folder")
    if not os.path.isfile(image_dir / name):
        raise InputError(f"{path}: image {image['id']}: there is no file {image_dir / name}")


def _repair_boxes(
    path: Path, boxes_xywh: NDArray[np.float64], sizes: NDArray[np.int64], ids: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
    """Return corners inside the image, which boxes are left, and how many had to be repaired."""
    limits = sizes[:, ::-1].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        corners = np.concatenate((boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]), axis=1)
    # Written so that a NaN counts as bad.
    has_area: NDArray[np.bool_] = np.all(boxes_xywh[:, 2:] > 0, axis=1)
    is_inside = ((corners[:, :2] >= -OVERHANG_PX) & (corners[:, 2:] <= limits + OVERHANG_PX)).all(axis=1)
    is_bad = ~(has_area & is_inside)
    if is_bad.sum() > MAX_BAD_SHARE * len(ids):
        first = int(np.flatnonzero(is_bad)[0])
        reason = (
            "has no area" if not has_area[first] else f"leaves its image of {limits[first].astype(int).tolist()} px"
        )
        raise InputError(
            f"{path}: annotation {ids[first]}: box {boxes_xywh[first].tolist()} (x, y, width, height) {reason}; "
            f"{is_bad.sum()} of {len(ids)} boxes are like this, at most {MAX_BAD_SHARE:.1%} may be"
        )
    corners = np.clip(np.nan_to_num(corners), 0, np.tile(limits, 2))
    keep: NDArray[np.bool_] = np.logical_and(has_area, (corners[:, 2:] > corners[:, :2]).all(axis=1))
    return corners, keep, int(is_bad.sum())
