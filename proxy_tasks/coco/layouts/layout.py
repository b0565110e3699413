"""A layout as it was found: the annotations and pictures of each split."""

from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """The place of a split; a path that is not absolute is below the folder of the data set.

    Attributes:
        annotations: annotation file, COCO JSON.
        images: folder that its file names are below.
    """

    annotations: str
    images: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout that a folder has.

    Attributes:
        title: what to call it.
        train: the training set, which is there.
        val: the validation set, or where it was looked for.
    """

    title: str
    train: Place
    val: Place
