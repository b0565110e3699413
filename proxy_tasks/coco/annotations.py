"""Annotations of a data set in COCO's format: read from their JSON file, checked, and kept as arrays."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from foundation import InputError, first_error
from proxy_tasks.coco.box_format import other_format

MAX_BAD_SHARE = 0.001
"""Largest share of bad boxes that are repaired, and of images that cannot be used and are left out.

COCO 2017 itself holds a few. More means that the data is not what it says, as with corners in place of sizes.
"""
OVERHANG_PX = 1.0
"""Pixels by which a box may stick out of its image: annotation tools round."""
_ROUNDING_PX = 1e-6
"""Difference that adding a position and a size may make in floating point, which is no repair."""
NO_CATEGORY = "(no category)"
"""Name of a class that no category has; see `with_id_labels`."""
_MAX_ID_LABELS = 10_000
MAX_BOXES = 1000
"""Most boxes of one image that are trained on; sets of crowded pictures hold some hundreds.

A bound for memory: each box of a batch is compared with every anchor, of which there are 49,000 at 512 px, and takes
about 1 MB meanwhile. Differs: the reference keeps 100, and the rest is background to it.
"""


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
_REQUIRED = ("id", "image_id", "category_id", "bbox")
"""Fields that every annotation must have; `area` and `iscrowd` may be missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """Images and boxes of one annotation file; N images, M boxes, K classes.

    Attributes:
        image_ids: (N,) as in the file.
        file_names: (N,) below the image folder.
        sizes_px: (N, 2) height and width.
        first_box: (N + 1,) the boxes of image i are those from `first_box[i]` to before `first_box[i + 1]`.
        boxes_xywh: (M, 4) as in the file, to score against: top left corner, width and height in pixels.
        boxes_xyxy: (M, 4) corners in pixels of the original image, clipped to it, to train on; some have no area left.
        labels: (M,) class index in 0 .. K-1.
        is_crowd: (M,) true for a box around a group, which detections are not counted against.
        areas: (M,) as in the file, pixels squared; decides whether COCO calls an object small, medium or large.
        category_ids: (K,) the file's ids, ascending; they may have gaps.
        category_names: (K,).
        repairs: in words, what was repaired or left out, and how often.
    """

    image_ids: NDArray[np.int64]
    file_names: tuple[str, ...]
    sizes_px: NDArray[np.int64]
    first_box: NDArray[np.int64]
    boxes_xywh: NDArray[np.float64]
    boxes_xyxy: NDArray[np.float64]
    labels: NDArray[np.int64]
    is_crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    category_ids: tuple[int, ...]
    category_names: tuple[str, ...]
    repairs: Mapping[str, int]

    @property
    def num_images(self) -> int:
        """The number of images, N."""
        return len(self.file_names)

    @property
    def is_trained_on(self) -> NDArray[np.bool_]:
        """(M,) true for a box that is no crowd and has an area inside its image."""
        return _have_area(self.boxes_xyxy) & ~self.is_crowd

    def boxes_to_train_on(self, row: int) -> NDArray[np.int64]:
        """Return the boxes of image `row` that are trained on, the first `MAX_BOXES`."""
        mine = slice(self.first_box[row], self.first_box[row + 1])
        boxes = np.flatnonzero(_have_area(self.boxes_xyxy[mine]) & ~self.is_crowd[mine])[:MAX_BOXES]
        return boxes + int(self.first_box[row])

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Return the annotations of some images only, in the order of `rows`, (R,)."""
        counts = np.diff(self.first_box)[rows]  # (R,)
        ends = np.cumsum(counts)

        # Box j of an image is j behind its first one, in the old list as in the new.
        old_start = np.repeat(self.first_box[rows], counts)  # (boxes that are taken,)
        new_start = np.repeat(ends - counts, counts)
        boxes = old_start - new_start + np.arange(counts.sum())

        return replace(
            self,
            image_ids=self.image_ids[rows],
            file_names=tuple(self.file_names[row] for row in rows),
            sizes_px=self.sizes_px[rows],
            first_box=np.concatenate(([0], ends)),
            boxes_xywh=self.boxes_xywh[boxes],
            boxes_xyxy=self.boxes_xyxy[boxes],
            labels=self.labels[boxes],
            is_crowd=self.is_crowd[boxes],
            areas=self.areas[boxes],
        )


def _have_area(boxes_xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (M,) true for each of (M, 4) boxes that has an area."""
    has_area: NDArray[np.bool_] = np.all(boxes_xyxy[:, 2:] > boxes_xyxy[:, :2], axis=1)
    return has_area


def num_beyond_bound(annotations: Annotations, rows: NDArray[np.int64]) -> int:
    """Return how many boxes of the images `rows`, (R,), are not trained on because their image has too many."""
    before = np.concatenate(([0], np.cumsum(annotations.is_trained_on)))  # (M + 1,) boxes to train on before each
    counts = before[annotations.first_box[rows + 1]] - before[annotations.first_box[rows]]  # (R,)
    return int((counts - MAX_BOXES).clip(min=0).sum())


def check_id_labels(category_ids: tuple[int, ...]) -> None:
    """Check that the categories' own ids can be labels.

    Raises:
        InputError: an id is below 0 or above 9,999, which would make as many classes.
    """
    lowest, highest = min(category_ids), max(category_ids)
    if not 0 <= lowest <= highest < _MAX_ID_LABELS:
        raise InputError(f"category ids as classes must lie in 0 to {_MAX_ID_LABELS - 1}, got {lowest} to {highest}")


def with_id_labels(annotations: Annotations) -> Annotations:
    """Return annotations whose labels are the categories' own ids, gaps included: 91 classes for COCO.

    Class 0 of COCO is then the background. Classes that no category has are named `NO_CATEGORY`.

    Raises:
        InputError: see `check_id_labels`.
    """
    ids = annotations.category_ids
    check_id_labels(ids)
    names = dict(zip(ids, annotations.category_names, strict=True))
    all_ids = range(max(ids) + 1)
    return replace(
        annotations,
        labels=np.array(ids, dtype=np.int64)[annotations.labels],
        category_ids=tuple(all_ids),
        category_names=tuple(names.get(i, NO_CATEGORY) for i in all_ids),
    )


def read_annotations(path: Path, image_dir: Path) -> Annotations:
    """Read a COCO `instances_*.json` and check it against the image folder.

    Up to `MAX_BAD_SHARE` of the boxes may belong to images that are not listed, which are left out, or leave their
    image or have no area: these are clipped for training, and stay as they are for scoring. All are counted. As many
    images may have no file; these are not left out here.

    Raises:
        InputError: more of these, boxes that look like another format, not JSON, a field missing or of the wrong type,
            no images or categories, an id or file name used twice, an image that lies outside the folder, or an
            annotation of an unknown category. The message names the first.
    """
    document = _read_document(path)
    images = sorted(document["images"], key=lambda image: image["id"])
    categories = sorted(document["categories"], key=lambda category: category["id"])
    _check_listed(path, images, categories)

    # Boxes of one image stand together, images in the order of their ids.
    row_of = {image["id"]: row for row, image in enumerate(images)}
    label_of = {category["id"]: label for label, category in enumerate(categories)}
    listed, num_unlisted = _of_listed_images(path, document["annotations"], row_of, label_of)
    _check_unique(path, "annotations", "id", (annotation["id"] for annotation in document["annotations"]))
    annotations = sorted(listed, key=lambda annotation: row_of[annotation["image_id"]])
    image_of_box = np.array([row_of[a["image_id"]] for a in annotations], dtype=np.int64)  # (M,)

    sizes_px = np.array([(image["height"], image["width"]) for image in images], dtype=np.int64)  # (N, 2)
    boxes_xywh = np.array([a["bbox"] for a in annotations], dtype=np.float64).reshape(-1, 4)
    annotation_ids = [a["id"] for a in annotations]
    boxes_xyxy, is_number, repairs = _repair_boxes(path, boxes_xywh, sizes_px[image_of_box], annotation_ids)

    labels = np.array([label_of[a["category_id"]] for a in annotations], dtype=np.int64)
    is_crowd = np.array([a.get("iscrowd", 0) for a in annotations], dtype=np.bool_)
    # COCO's area is that of the outline; data sets without outlines often leave it out.
    areas = np.array([a.get("area", a["bbox"][2] * a["bbox"][3]) for a in annotations], dtype=np.float64)

    _check_files(path, image_dir, images)
    repairs["boxes of images that are not listed left out"] = num_unlisted
    return Annotations(
        image_ids=np.array([image["id"] for image in images], dtype=np.int64),
        file_names=tuple(image["file_name"] for image in images),
        sizes_px=sizes_px,
        first_box=np.searchsorted(image_of_box[is_number], np.arange(len(images) + 1)),
        boxes_xywh=boxes_xywh[is_number],
        boxes_xyxy=boxes_xyxy[is_number],
        labels=labels[is_number],
        is_crowd=is_crowd[is_number],
        areas=areas[is_number],
        category_ids=tuple(category["id"] for category in categories),
        category_names=tuple(category["name"] for category in categories),
        repairs={repair: number for repair, number in repairs.items() if number},
    )


def check_share(num_bad: int, num_all: int, what: str, first: Callable[[], str]) -> None:
    """Check that no more than `MAX_BAD_SHARE` of all are bad.

    Args:
        num_bad: how many are bad.
        num_all: how many there are.
        what: the plural that the message calls them by.
        first: returns what is wrong with the first bad one; called only where there are too many.

    Raises:
        InputError: more are; the message begins with what `first` returns.
    """
    if num_bad > MAX_BAD_SHARE * num_all:
        raise InputError(f"{first()}; {num_bad} of {num_all} {what} are like this, at most {MAX_BAD_SHARE:.1%} may be")


def _read_document(path: Path) -> _Document:
    try:
        return _DOCUMENT.validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}") from None


def _check_listed(path: Path, images: list[_Image], categories: list[_Category]) -> None:
    """Check that there are images and categories, and that none has the name of another."""
    for name, number in (("images", len(images)), ("categories", len(categories))):
        if not number:
            raise InputError(f"{path}: there are no {name}")

    _check_unique(path, "images", "id", (image["id"] for image in images))
    _check_unique(path, "images", "file_name", (image["file_name"] for image in images))
    _check_unique(path, "categories", "id", (category["id"] for category in categories))


def _check_unique(path: Path, what: str, field: str, values: Iterable[int | str]) -> None:
    counts = Counter(values).most_common(1)
    if not counts:
        return

    value, times = counts[0]
    if times > 1:
        raise InputError(f"{path}: {what} has {field} {value} {'twice' if times == 2 else f'{times} times'}")


def _of_listed_images(
    path: Path, annotations: list[_Annotation], row_of: Mapping[int, int], label_of: Mapping[int, int]
) -> tuple[list[_Annotation], int]:
    """Return the annotations whose image is listed, and how many others there are."""
    for i, annotation in enumerate(annotations):
        missing = [name for name in _REQUIRED if name not in annotation]
        if missing:
            raise InputError(f"{path}: annotations[{i}].{missing[0]}: Field required")
        if annotation["category_id"] not in label_of:
            raise InputError(f"{path}: annotations[{i}]: unknown category_id {annotation['category_id']}")

    # A few annotations of images that are not listed are dropped; many mean that the file belongs to other images.
    listed = [annotation for annotation in annotations if annotation["image_id"] in row_of]
    num_unlisted = len(annotations) - len(listed)

    def first_unlisted() -> str:
        i = next(i for i, annotation in enumerate(annotations) if annotation["image_id"] not in row_of)
        return f"{path}: annotations[{i}]: unknown image_id {annotations[i]['image_id']}"

    check_share(num_unlisted, len(annotations), "annotations", first_unlisted)
    return listed, num_unlisted


def _check_files(path: Path, image_dir: Path, images: list[_Image]) -> None:
    """Check that nearly all image files are there, and that all names stay inside the folder."""
    # A data set may come from anywhere: its names must not reach files outside.
    is_there = []
    for image in images:
        name = PurePosixPath(image["file_name"])
        if name.is_absolute() or ".." in name.parts:
            raise InputError(
                f"{path}: image {image['id']}: file_name {image['file_name']!r} leads out of the image folder"
            )
        is_there.append(os.path.isfile(image_dir / name))

    def first_missing() -> str:
        image = images[is_there.index(False)]
        return f"{path}: image {image['id']}: there is no file {image_dir / image['file_name']}"

    check_share(is_there.count(False), len(images), "images", first_missing)


def _repair_boxes(
    path: Path, boxes_xywh: NDArray[np.float64], sizes_px: NDArray[np.int64], annotation_ids: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], dict[str, int]]:
    """Clip boxes to their images.

    Args:
        path: the file, named in the message.
        boxes_xywh: (M, 4) as in the file.
        sizes_px: (M, 2) height and width of each box's image.
        annotation_ids: M, for the message.

    Returns:
        (M, 4) corners inside the image, some of them without area; (M,) which boxes are of finite numbers; in words,
        what was repaired, and how often.

    Raises:
        InputError: more than `MAX_BAD_SHARE` had to be, or the boxes of the file look like another format.
    """
    limits = sizes_px[:, ::-1].astype(np.float64)  # (M, 2) width, height
    looks = other_format(boxes_xywh, limits, overhang_px=OVERHANG_PX, max_bad_share=MAX_BAD_SHARE)
    if looks:
        raise InputError(
            f"{path}: the boxes look {looks}; expected x, y, width, height in pixels, x and y of the top left corner"
        )

    with np.errstate(over="ignore", invalid="ignore"):
        corners = np.concatenate((boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]), axis=1)  # (M, 4)

    # Written so that a NaN counts as bad.
    has_area: NDArray[np.bool_] = np.all(boxes_xywh[:, 2:] > 0, axis=1)  # (M,)
    is_inside = ((corners[:, :2] >= -OVERHANG_PX) & (corners[:, 2:] <= limits + OVERHANG_PX)).all(axis=1)
    is_bad = ~(has_area & is_inside)

    def first_bad() -> str:
        i = int(np.flatnonzero(is_bad)[0])
        reason = "has no area" if not has_area[i] else f"leaves its image of {limits[i].astype(int).tolist()} px"
        return f"{path}: annotation {annotation_ids[i]}: box {boxes_xywh[i].tolist()} (x, y, width, height) {reason}"

    check_share(int(is_bad.sum()), len(annotation_ids), "boxes", first_bad)

    is_number: NDArray[np.bool_] = np.all(np.isfinite(corners), axis=1)
    clipped = np.clip(np.nan_to_num(corners), 0, np.tile(limits, 2))  # (M, 4)

    # A box that lies outside altogether has no area once it is clipped.
    is_left = _have_area(clipped)
    with np.errstate(invalid="ignore"):
        is_clipped = (np.abs(clipped - corners) > _ROUNDING_PX).any(axis=1)
    return (
        clipped,
        is_number,
        {
            "boxes clipped to their image for training": int((is_number & is_left & is_clipped).sum()),
            "boxes without area in their image scored but not trained on": int((is_number & ~is_left).sum()),
            "boxes that are no numbers left out": int((~is_number).sum()),
        },
    )
