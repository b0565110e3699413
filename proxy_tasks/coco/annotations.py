"""Annotations of a data set as arrays: images, boxes and categories, and the boxes among them that are trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from foundation import InputError

NO_CATEGORY = "(no category)"
"""Name of a class that no category has; see `with_id_labels`."""
_MAX_ID_LABELS = 10_000
MAX_BOXES = 1000
"""Most boxes of one image that are trained on; sets of crowded pictures hold some hundreds.

A bound for memory: each box of a batch is compared with every anchor, of which there are 49,000 at 512 px, and takes
about 1 MB meanwhile. Differs: the reference keeps 100, and the rest is background to it.
"""


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
        return have_area(self.boxes_xyxy) & ~self.is_crowd

    def boxes_to_train_on(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (B,) images' boxes that are trained on, the first `MAX_BOXES` of each, one image's after the other's.

        Returns:
            (T,) the boxes, and (T,) the index in `rows` of each one's image.
        """
        boxes, image = self._boxes_of(rows)
        is_kept = have_area(self.boxes_xyxy[boxes]) & ~self.is_crowd[boxes]
        boxes, image = boxes[is_kept], image[is_kept]

        number = np.arange(len(image)) - np.searchsorted(image, image)  # (T,) counted in each image
        return boxes[number < MAX_BOXES], image[number < MAX_BOXES]

    def _boxes_of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the boxes of some images, one image's after the other's, and the index in `rows` of each one's."""
        counts = self.first_box[rows + 1] - self.first_box[rows]  # (R,)
        image = np.repeat(np.arange(len(rows)), counts)  # (boxes that are taken,)

        # Box j of an image is j behind its first one, in the old list as in the new.
        new_start = np.cumsum(counts) - counts  # (R,)
        boxes = (self.first_box[rows] - new_start)[image] + np.arange(len(image))
        return boxes, image

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Return the annotations of some images only, in the order of `rows`, (R,)."""
        boxes, image = self._boxes_of(rows)
        ends = np.cumsum(np.bincount(image, minlength=len(rows)))

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


def have_area(boxes_xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
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
