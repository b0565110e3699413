"""A data set in a few lines: its objects beside the anchors, what is held out, and how far its AP can be trusted."""

import math

import numpy as np
from numpy.typing import NDArray

from foundation import printable
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.open_data import OpenData
from search_space import ModelScale

_FIRST_LEVEL, _LAST_LEVEL = 3, 7
"""Levels that every searched network predicts from."""
_LARGEST_OCTAVE = 2 ** (2 / 3)
_TENTH, _NINE_TENTHS = 10, 90
_WORTH_A_LINE = 0.01
"""Share of objects that no anchor fits from which on a line says so."""


def data_summary(data: OpenData, scale: ModelScale) -> tuple[str, ...]:
    """Return lines for a person on the data of a search.

    Args:
        data: as it was prepared.
        scale: of the networks, which decides the anchors.
    """
    return (*_sizes(data, scale), *scored_summary(data))


def largest_error(num_objects: int) -> float:
    """Return how far AP on some objects may be off: half the width of its 95 % interval, 1 at most.

    That of a share of independent objects, at its largest.
    """
    return min(1.0, 1.96 * 0.5 / math.sqrt(num_objects))


def _sizes(data: OpenData, scale: ModelScale) -> tuple[str, ...]:
    """Return lines on the sizes of the objects that are trained on."""
    annotations = data.train.annotations
    boxes, image = annotations.boxes_to_train_on(data.train_rows)
    corners = annotations.boxes_xyxy[boxes]  # (T, 4)
    sides_px = (corners[:, 2:] - corners[:, :2]) * data.train.scales_xy[data.train_rows[image]]  # (T, 2)
    sizes_px = np.sqrt(sides_px.prod(axis=1))  # (T,)
    if not len(sizes_px):
        return ("no object to train on",)

    smallest = scale.anchor_scale * 2**_FIRST_LEVEL
    largest = scale.anchor_scale * 2**_LAST_LEVEL * _LARGEST_OCTAVE
    low, middle, high = np.percentile(sizes_px, (_TENTH, 50, _NINE_TENTHS))
    lines = [
        f"objects to train on: {len(sizes_px)}, half of them below {middle:.3g} px at the search's "
        f"{scale.image_size_px} px, a tenth below {low:.3g} px and a tenth above {high:.3g} px; anchors have "
        f"{smallest:.3g} to {largest:.3g} px"
    ]

    # All anchors of an octave have the same area: what has less than half of the smallest, or more than twice the
    # largest, overlaps none by half.
    too_small = float(np.mean(sizes_px < smallest / math.sqrt(2)))
    too_large = float(np.mean(sizes_px > largest * math.sqrt(2)))
    if too_small >= _WORTH_A_LINE:
        lines.append(
            f"  {100 * too_small:.0f} % of them are too small to overlap any anchor by half: a larger "
            "scale.image_size_px or a smaller scale.anchor_scale finds more of them"
        )
    if too_large >= _WORTH_A_LINE:
        lines.append(f"  {100 * too_large:.0f} % of them are too large to overlap any anchor by half")
    return tuple(lines)


def scored_summary(data: OpenData) -> tuple[str, ...]:
    """Return lines on the objects that AP is measured on, and on how far it can be trusted."""
    annotations, rows = data.scored.annotations, data.scored_rows
    spans = [np.arange(annotations.first_box[row], annotations.first_box[row + 1]) for row in rows]
    boxes = np.concatenate(spans)
    labels = annotations.labels[boxes[~annotations.is_crowd[boxes]]]
    counts = np.bincount(labels, minlength=len(annotations.category_ids))  # (K,)

    return (
        printable(f"objects to score on: {len(labels)} in {len(rows)} images; {_by_class(annotations, counts)}"),
        f"  AP on {len(labels)} objects may be {largest_error(len(labels)):.2g} off (95 %): smaller differences "
        "between architectures say little",
    )


def _by_class(annotations: Annotations, counts: NDArray[np.int64]) -> str:
    """Return in words how (K,) numbers of objects are spread over the classes."""
    names = annotations.category_names
    by_number = sorted(np.flatnonzero(counts).tolist(), key=lambda k: -counts[k])
    most, fewest = by_number[0], by_number[-1]
    words = f"{names[most]} has {counts[most]}"
    if fewest != most:
        words = f"{words}, {names[fewest]} {counts[fewest]}"

    num_empty = len(counts) - len(by_number)
    return f"{words}, {num_empty} of {len(counts)} classes none" if num_empty else words
