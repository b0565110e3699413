"""Masks of a COCO `instances_*.json`: polygons and run lengths, checked, clipped to their image, and counted."""

import math
import mmap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from foundation import InputError, first_error
from proxy_tasks.base import Report
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.bad_entries import BadEntries
from proxy_tasks.coco.box_repair import OVERHANG_PX
from proxy_tasks.coco.masks import Masks
from proxy_tasks.coco.run_lengths import compact, decode_mask, encode_polygons, is_sound

_REPORT_EVERY = 1024
_MIN_NUMBERS = 6
"""Numbers of the smallest polygon; COCO's tools take four for a box."""
_NO_MASK = "no object has a mask: segmentation is missing or empty in every annotation"
_CLIPPED = "masks clipped to their image"
_WITHOUT = "objects without a usable mask, neither trained on nor scored against as masks"


class _Annotation(TypedDict, total=False):
    id: int | None
    image_id: int
    bbox: tuple[float, float, float, float]
    segmentation: Any


class _Document(TypedDict):
    annotations: list[_Annotation]


_DOCUMENT = TypeAdapter(_Document)


class _Mask(NamedTuple):
    """The mask of one object: run lengths, empty for none; what is bad about it, and how it was repaired."""

    counts: bytes
    reason: str = ""
    repair: str = ""


def check_names_masks(path: Path) -> None:
    """Check that a file of annotations has masks at all, which takes no time: before its images are decoded.

    Raises:
        InputError: it cannot be read, or has none.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            has_masks = content.find(b'"segmentation"') >= 0
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if not has_masks:
        raise InputError(f"{path}: {_NO_MASK}")


def read_masks(path: Path, annotations: Annotations, bad: BadEntries, report: Report) -> tuple[Masks, dict[str, int]]:
    """Read the masks of the boxes that annotations hold.

    A polygon needs three corners or more; one with fewer is left out, as is one with a corner that is no number or lies
    further from the image than the image is long. What is left is clipped to the image. Run lengths, plain and compact,
    must be those of an image of the size that the image has.

    Args:
        path: the JSON that the annotations are from.
        annotations: images and boxes of that file, all or some.
        bad: where objects without a usable mask are noted, and masks that leave their image by more than a pixel.
        report: called while masks are encoded.

    Returns:
        The masks, and in words what was repaired, and how often.

    Raises:
        InputError: it cannot be read, has changed, or none of its objects has a mask.
    """
    row_of = {image_id: row for row, image_id in enumerate(annotations.image_ids.tolist())}
    kept = [(i, one) for i, one in enumerate(_read(path)) if one["image_id"] in row_of and _is_number(one["bbox"])]
    kept.sort(key=lambda numbered: row_of[numbered[1]["image_id"]])
    boxes_xywh = np.array([one["bbox"] for _, one in kept], dtype=np.float64).reshape(-1, 4)
    if not np.array_equal(boxes_xywh, annotations.boxes_xywh):
        raise InputError(f"{path} has changed since it was read: start again")
    if not any(one.get("segmentation") for _, one in kept):
        raise InputError(f"{path}: {_NO_MASK}")

    sizes_px = annotations.sizes_px[[row_of[one["image_id"]] for _, one in kept]]  # (M, 2)
    masks: list[_Mask] = []
    reasons: list[str] = []
    for (i, one), (height, width) in zip(kept, sizes_px.tolist(), strict=True):
        mask = _mask(one.get("segmentation"), (height, width))
        if mask.reason:
            number = one.get("id")
            name = f"annotations[{i}]" if number is None else f"annotation {number}"
            reasons.append(f"{name}: {mask.reason}")
        masks.append(mask)
        if len(masks) % _REPORT_EVERY == 0 or len(masks) == len(kept):
            report("encoding masks", len(masks), len(kept))

    bad.note("masks", reasons, len(kept))
    bad.check(path)
    repairs = Counter(mask.repair for mask in masks if mask.repair)
    return Masks.of([mask.counts for mask in masks], sizes_px), dict(repairs)


def _read(path: Path) -> list[_Annotation]:
    try:
        return _DOCUMENT.validate_json(path.read_bytes())["annotations"]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}") from None


def _is_number(box_xywh: Sequence[float]) -> bool:
    """Return whether a box is one of those that annotations hold; see `repair_boxes`."""
    x, y, width, height = box_xywh
    return all(map(math.isfinite, (x, y, x + width, y + height)))


def _mask(segmentation: Any, size_px: tuple[int, int]) -> _Mask:  # noqa: ANN401  # whatever the file holds
    match segmentation:
        case None | []:
            return _Mask(b"", "has no mask", _WITHOUT)
        case list():
            mask = _from_polygons(segmentation, size_px)
        case {"counts": counts, "size": [height, width]}:
            if (height, width) != size_px:
                return _Mask(b"", f"mask is of {[height, width]} px, its image of {list(size_px)}", _WITHOUT)
            mask = _from_runs(counts, size_px)
        case _:
            return _Mask(b"", "segmentation is neither polygons nor run lengths", _WITHOUT)

    if mask.counts and not decode_mask(mask.counts, size_px).any():
        return _Mask(b"", f"mask has no pixel in its image of {list(size_px)} px", _WITHOUT)
    return mask


def _from_polygons(polygons: list[Any], size_px: tuple[int, int]) -> _Mask:
    usable = [one for one in polygons if _is_polygon(one, size_px)]
    if not usable:
        return _Mask(b"", "mask has no polygon of three corners in or near its image", _WITHOUT)

    corners = np.concatenate([np.asarray(one, np.float64).reshape(-1, 2) for one in usable])  # (N, 2) x and y
    limits = np.array(size_px[::-1])
    overhang = max(float(-corners.min()), float((corners - limits).max()))
    reason = f"mask leaves its image of {list(size_px)} px" if overhang > OVERHANG_PX else ""
    repair = _CLIPPED if overhang > 0 else ""
    if len(usable) < len(polygons):
        reason, repair = "a polygon of its mask has fewer than three corners, or lies elsewhere", "polygons left out"
    return _Mask(encode_polygons(usable, size_px), reason, repair)


def _is_polygon(value: Any, size_px: tuple[int, int]) -> bool:  # noqa: ANN401  # whatever the file holds
    if not isinstance(value, list) or len(value) < _MIN_NUMBERS or len(value) % 2:
        return False
    if not all(isinstance(number, int | float) for number in value):
        return False
    # COCO's tools take memory for each pixel of an outline, wherever it runs.
    far = max(size_px)
    return all(-far <= number <= 2 * far for number in value)


def _from_runs(counts: Any, size_px: tuple[int, int]) -> _Mask:  # noqa: ANN401  # whatever the file holds
    encoded = None
    if isinstance(counts, str) and counts.isascii() and is_sound(counts.encode(), size_px):
        encoded = counts.encode()
    elif isinstance(counts, list) and all(isinstance(run, int) for run in counts):
        encoded = compact(counts, size_px)
    if encoded is None:
        return _Mask(b"", f"run lengths of its mask are not those of {list(size_px)} px", _WITHOUT)
    return _Mask(encoded)
