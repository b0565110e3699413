"""The class of each image of a data set, and what such data must be; this needs no torch."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from foundation import InputError
from proxy_tasks.coco.annotations import Annotations


def labels_of(annotations: Annotations, name: str) -> NDArray[np.int64]:
    """Return (N,) the class index of each image.

    Args:
        annotations: of the images, with one object in each.
        name: of the data, for messages.

    Raises:
        InputError: an image has none, several, or one without area; there is one class in all; or two have one name.
    """
    counts = np.diff(annotations.first_box)  # (N,)
    others = np.flatnonzero(counts != 1)
    if len(others):
        first = others[0]
        raise InputError(
            f"{name}: {annotations.file_names[first]} has {counts[first]} objects, and a classifier learns from images "
            "of one class each: give a folder for each class (data=image_folder)"
        )
    lost = np.flatnonzero(~annotations.is_trained_on)
    if len(lost):
        raise InputError(f"{name}: the object of {annotations.file_names[lost[0]]} is a crowd, or has no area in it")
    if len(annotations.category_ids) < 2:
        raise InputError(f"{name} has one class, {annotations.category_names[0]}: nothing can be told apart")
    (often, times), *_ = Counter(annotations.category_names).most_common(1)
    if times > 1:
        raise InputError(
            f"{name} has {times} classes named {often}: classes are known by their names, which must differ"
        )
    return annotations.labels
