"""Boxes made fit to train on: clipped to their image, the bad ones among them named."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation import InputError
from proxy_tasks.coco.annotations import have_area
from proxy_tasks.coco.bad_entries import BadEntries
from proxy_tasks.coco.box_format import other_format

OVERHANG_PX = 1.0
"""Pixels by which a box may stick out of its image: annotation tools round."""
_ROUNDING_PX = 1e-6
"""Difference that adding a position and a size may make in floating point, which is no repair."""


class RepairedBoxes(NamedTuple):
    """M boxes to train on.

    Attributes:
        boxes_xyxy: (M, 4) corners inside the image, some of them without area.
        is_number: (M,) true for a box of finite numbers.
        repairs: in words, what was repaired, and how often.
    """

    boxes_xyxy: NDArray[np.float64]
    is_number: NDArray[np.bool_]
    repairs: dict[str, int]


def repair_boxes(
    path: Path,
    boxes_xywh: NDArray[np.float64],
    sizes_px: NDArray[np.int64],
    name_of: Callable[[int], str],
    bad: BadEntries,
) -> RepairedBoxes:
    """Clip boxes to their images, and note those that are bad.

    Args:
        path: the file, named in the message.
        boxes_xywh: (M, 4) as in the file.
        sizes_px: (M, 2) height and width of each box's image.
        name_of: returns how the list of bad entries calls a box.
        bad: where bad boxes are noted.

    Raises:
        InputError: the boxes of the file look like another format.
    """
    limits = sizes_px[:, ::-1].astype(np.float64)  # (M, 2) width, height
    looks = other_format(boxes_xywh, limits, overhang_px=OVERHANG_PX, max_bad_share=bad.max_share)
    if looks:
        raise InputError(
            f"{path}: the boxes look {looks}; expected x, y, width, height in pixels, x and y of the top left corner"
        )

    with np.errstate(over="ignore", invalid="ignore"):
        corners = np.concatenate((boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]), axis=1)  # (M, 4)

    # Written so that a NaN counts as bad.
    has_area: NDArray[np.bool_] = np.all(boxes_xywh[:, 2:] > 0, axis=1)  # (M,)
    is_inside = ((corners[:, :2] >= -OVERHANG_PX) & (corners[:, 2:] <= limits + OVERHANG_PX)).all(axis=1)

    reasons = []
    for i in np.flatnonzero(~(has_area & is_inside)).tolist():
        reason = "has no area" if not has_area[i] else f"leaves its image of {limits[i].astype(int).tolist()} px"
        reasons.append(f"{name_of(i)}: box {boxes_xywh[i].tolist()} (x, y, width, height) {reason}")
    bad.note("boxes", reasons, len(boxes_xywh))

    is_number: NDArray[np.bool_] = np.all(np.isfinite(corners), axis=1)
    clipped = np.clip(np.nan_to_num(corners), 0, np.tile(limits, 2))  # (M, 4)

    # A box that lies outside altogether has no area once it is clipped.
    is_left = have_area(clipped)
    with np.errstate(invalid="ignore"):
        is_clipped = (np.abs(clipped - corners) > _ROUNDING_PX).any(axis=1)
    repairs = {
        "boxes clipped to their image for training": int((is_number & is_left & is_clipped).sum()),
        "boxes without area in their image scored but not trained on": int((is_number & ~is_left).sum()),
        "boxes that are no numbers left out": int((~is_number).sum()),
    }
    return RepairedBoxes(clipped, is_number, repairs)
