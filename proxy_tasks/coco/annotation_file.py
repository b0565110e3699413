"""A COCO `instances_*.json`, read into arrays and checked against its image folder."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from foundation import InputError, first_error
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.bad_entries import BadEntries
from proxy_tasks.coco.box_repair import repair_boxes
from proxy_tasks.coco.image_names import name_below

_Id = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Pixels = Annotated[int, Field(ge=1, le=2**20)]


class _Image(TypedDict):
    id: _Id
    file_name: str
    width: _Pixels
    height: _Pixels


class _Annotation(TypedDict, total=False):
    id: _Id | None
    image_id: _Id
    category_id: _Id
    bbox: tuple[float, float, float, float]
    area: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    iscrowd: int | None


class _Category(TypedDict):
    id: _Id
    name: str


class _Document(TypedDict):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


_DOCUMENT = TypeAdapter(_Document)
_REQUIRED = ("image_id", "category_id", "bbox")
"""Fields that every annotation must have; the others may be missing or null."""


def read_annotations(path: Path, image_dir: Path, bad: BadEntries) -> Annotations:
    """Read a COCO `instances_*.json` and check it against the image folder.

    What is bad in it is tolerated up to a share, and counted. Boxes of images that are not listed, and those that are
    no numbers, are left out. Boxes that leave their image are clipped for training, boxes without area in it are not
    trained on; both stay as they are for scoring. Images without a file are not left out here.

    Args:
        path: the JSON.
        image_dir: folder of the images.
        bad: where bad boxes, annotations and images are noted.

    Raises:
        InputError: too much is bad, boxes that look like another format, not JSON, a field missing or of the wrong
            type, no images or categories, an id or file name used twice, an image that lies outside the folder, or an
            annotation of an unknown category. The message names the first.
    """
    document = _read_document(path)
    images = sorted(document["images"], key=lambda image: image["id"])
    categories = sorted(document["categories"], key=lambda category: category["id"])
    file_names = _file_names(path, image_dir, images)
    _check_listed(path, images, file_names, categories)
    _note_missing_files(image_dir, images, file_names, bad)

    # Boxes of one image stand together, images in the order of their ids.
    row_of = {image["id"]: row for row, image in enumerate(images)}
    label_of = {category["id"]: label for label, category in enumerate(categories)}
    _check_annotations(path, document["annotations"], label_of)
    num_unlisted = _note_unlisted(document["annotations"], row_of, bad)
    positions = [i for i, annotation in enumerate(document["annotations"]) if annotation["image_id"] in row_of]
    positions.sort(key=lambda i: row_of[document["annotations"][i]["image_id"]])
    annotations = [document["annotations"][i] for i in positions]
    image_of_box = np.array([row_of[a["image_id"]] for a in annotations], dtype=np.int64)  # (M,)

    sizes_px = np.array([(image["height"], image["width"]) for image in images], dtype=np.int64)  # (N, 2)
    boxes_xywh = np.array([a["bbox"] for a in annotations], dtype=np.float64).reshape(-1, 4)
    boxes_xyxy, is_number, repairs = repair_boxes(
        path, boxes_xywh, sizes_px[image_of_box], lambda box: _name(annotations[box], positions[box]), bad
    )
    repairs["boxes of images that are not listed left out"] = num_unlisted
    bad.check(path)

    labels = np.array([label_of[a["category_id"]] for a in annotations], dtype=np.int64)
    is_crowd = np.array([a.get("iscrowd") or 0 for a in annotations], dtype=np.bool_)
    return Annotations(
        image_ids=np.array([image["id"] for image in images], dtype=np.int64),
        file_names=file_names,
        sizes_px=sizes_px,
        first_box=np.searchsorted(image_of_box[is_number], np.arange(len(images) + 1)),
        boxes_xywh=boxes_xywh[is_number],
        boxes_xyxy=boxes_xyxy[is_number],
        labels=labels[is_number],
        is_crowd=is_crowd[is_number],
        areas=np.array([_area(a) for a in annotations], dtype=np.float64)[is_number],
        category_ids=tuple(category["id"] for category in categories),
        category_names=tuple(category["name"] for category in categories),
        repairs={repair: number for repair, number in repairs.items() if number},
    )


def _read_document(path: Path) -> _Document:
    try:
        return _DOCUMENT.validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}") from None


def _file_names(path: Path, image_dir: Path, images: list[_Image]) -> tuple[str, ...]:
    """Return the names of the image files below the folder."""
    names = []
    for image in images:
        name = name_below(image_dir, image["file_name"])
        if name is None:
            raise InputError(
                f"{path}: image {image['id']}: file_name {image['file_name']!r} leads out of the image folder "
                f"{image_dir}"
            )
        names.append(name)
    return tuple(names)


def _check_listed(path: Path, images: list[_Image], file_names: tuple[str, ...], categories: list[_Category]) -> None:
    """Check that there are images and categories, and that none has the name of another."""
    for name, number in (("images", len(images)), ("categories", len(categories))):
        if not number:
            raise InputError(f"{path}: there are no {name}")

    _check_unique(path, "images", "id", (image["id"] for image in images))
    _check_unique(path, "images", "file_name", file_names)
    _check_unique(path, "categories", "id", (category["id"] for category in categories))


def _check_unique(path: Path, what: str, field: str, values: Iterable[int | str]) -> None:
    counts = Counter(values).most_common(1)
    if not counts:
        return

    value, times = counts[0]
    if times > 1:
        raise InputError(f"{path}: {what} has {field} {value} {'twice' if times == 2 else f'{times} times'}")


def _check_annotations(path: Path, annotations: list[_Annotation], label_of: Mapping[int, int]) -> None:
    """Check that annotations have all fields, known categories, and ids of their own where they have any."""
    for i, annotation in enumerate(annotations):
        missing = [name for name in _REQUIRED if name not in annotation]
        if missing:
            raise InputError(f"{path}: annotations[{i}].{missing[0]}: Field required")
        if annotation["category_id"] not in label_of:
            raise InputError(f"{path}: annotations[{i}]: unknown category_id {annotation['category_id']}")

    ids = (annotation.get("id") for annotation in annotations)
    _check_unique(path, "annotations", "id", (number for number in ids if number is not None))


def _note_unlisted(annotations: list[_Annotation], row_of: Mapping[int, int], bad: BadEntries) -> int:
    """Note annotations of images that are not listed, and return how many they are.

    Many of them mean that the file belongs to other images.
    """
    reasons = [
        f"annotations[{i}]: unknown image_id {annotation['image_id']}"
        for i, annotation in enumerate(annotations)
        if annotation["image_id"] not in row_of
    ]
    bad.note("annotations", reasons, len(annotations))
    return len(reasons)


def _note_missing_files(image_dir: Path, images: list[_Image], file_names: tuple[str, ...], bad: BadEntries) -> None:
    """Note the images that have no file."""
    reasons = [
        f"image {image['id']}: there is no file {image_dir / name}"
        for image, name in zip(images, file_names, strict=True)
        if not (image_dir / name).is_file()
    ]
    bad.note("images", reasons, len(images))


def _name(annotation: _Annotation, position: int) -> str:
    """Return what a message calls an annotation: its id, or where there is none its position in the file."""
    number = annotation.get("id")
    return f"annotations[{position}]" if number is None else f"annotation {number}"


def _area(annotation: _Annotation) -> float:
    """Return COCO's area, that of the outline; data sets without outlines often leave it out."""
    area = annotation.get("area")
    _, _, width, height = annotation["bbox"]
    return width * height if area is None else area
