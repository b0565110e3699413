"""The format of boxes, recognised from all boxes of a file: COCO's, or another that it was mistaken for."""

import numpy as np
from numpy.typing import NDArray

from proxy_tasks.coco.bad_entries import most_allowed

_ROUNDING = 1e-6
"""Excess over 1 that normalised coordinates may have from rounding."""
_MAX_MISFITS = 0.001
"""Largest share of boxes that do not fit a format that the others are recognised by."""


def other_format(
    boxes: NDArray[np.float64], limits: NDArray[np.float64], *, overhang_px: float, max_bad_share: float
) -> str:
    """Return in words which other format the boxes look like; empty where they may be COCO's.

    One box says little, as nearly every one is possible in several formats. So a format is suspected only where nearly
    all boxes fit it; corners and centres, whose numbers can be COCO's too, only where too many boxes leave their image
    when they are read as COCO's. Centres of a few small boxes, none of them near an edge, may be COCO's just as well:
    nothing is suspected there.

    Args:
        boxes: (M, 4) as in the file.
        limits: (M, 2) width and height of each box's image.
        overhang_px: pixels by which a box may stick out of its image.
        max_bad_share: largest share of boxes that may be bad ones in COCO's format.
    """
    first, second = boxes[:, :2], boxes[:, 2:]  # (M, 2) each
    if not len(boxes):
        return ""

    def nearly_all(fits: NDArray[np.bool_]) -> bool:
        return num_misfits(fits) <= _MAX_MISFITS * len(boxes)

    def num_misfits(fits: NDArray[np.bool_]) -> int:
        return int((~fits.all(axis=1)).sum())

    def are_inside(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.bool_]:
        return (low >= -overhang_px) & (high <= limits + overhang_px)  # (M, 2)

    # Numbers this small are less than a pixel of any picture.
    if nearly_all((boxes >= 0) & (boxes <= 1 + _ROUNDING)):
        return "normalised: they lie in 0 to 1"

    # A file may hold infinity or NaN, which fit no format.
    with np.errstate(over="ignore", invalid="ignore"):
        if num_misfits(are_inside(first, first + second)) <= most_allowed(len(boxes), max_bad_share):
            return ""
        if nearly_all((second > first) & are_inside(first, second)):
            return "like corners (x1, y1, x2, y2)"
        if nearly_all((second > 0) & are_inside(first - second / 2, first + second / 2)):
            return "like centres and sizes (centre x, centre y, width, height)"
    return ""
