"""Masks of the objects of a data set, kept as run lengths, some hundred bytes each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.run_lengths import Rle, decode_mask

MAX_MASKS = 100
"""Most objects of one image that are trained on with their masks, as in the reference; each is a picture in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Masks of M objects, in the order of the boxes that they belong to.

    Attributes:
        counts: bytes of the compact run lengths of all masks, one after the other; see `Rle`.
        starts: (M + 1,) where each begins, and where the last ends; an object without a mask has no bytes.
        sizes_px: (M, 2) height and width of each mask.
    """

    counts: NDArray[np.uint8]
    starts: NDArray[np.int64]
    sizes_px: NDArray[np.int64]

    @classmethod
    def of(cls, counts: Sequence[bytes], sizes_px: NDArray[np.int64]) -> Self:
        """Return masks from the run lengths of each, empty for none, and from their sizes, (M, 2)."""
        lengths = np.array([len(one) for one in counts], dtype=np.int64)
        starts = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
        return cls(np.frombuffer(b"".join(counts), np.uint8), starts, sizes_px.reshape(-1, 2))

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Return the masks of several, one's after the other's."""
        each = list(parts)
        ends = np.cumsum([0, *(len(part.counts) for part in each)])
        starts = [part.starts[:-1] + end for part, end in zip(each, ends, strict=False)]
        return cls(
            counts=np.concatenate([part.counts for part in each]),
            starts=np.concatenate([*starts, ends[-1:]]),
            sizes_px=np.concatenate([part.sizes_px for part in each]),
        )

    @property
    def has_mask(self) -> NDArray[np.bool_]:
        """(M,) true for an object that has a mask."""
        is_there: NDArray[np.bool_] = self.starts[1:] > self.starts[:-1]
        return is_there

    def rle(self, number: int) -> Rle:
        """Return one mask in COCO's form."""
        height, width = self.sizes_px[number].tolist()
        return {"size": (height, width), "counts": self.counts[self.starts[number] : self.starts[number + 1]].tobytes()}

    def decoded(self, number: int) -> NDArray[np.uint8]:
        """Return one mask as (H, W) ones and zeros."""
        rle = self.rle(number)
        return decode_mask(rle["counts"], rle["size"])


def masks_to_train_on(
    annotations: Annotations, masks: Masks, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (B,) images' boxes that are trained on with their masks, the first `MAX_MASKS` of each.

    They are those of `Annotations.boxes_to_train_on` without those that have no mask.

    Returns:
        (T,) the boxes, and (T,) the index in `rows` of each one's image.
    """
    boxes, image = annotations.boxes_to_train_on(rows)
    is_kept = masks.has_mask[boxes]
    boxes, image = boxes[is_kept], image[is_kept]

    number = np.arange(len(image)) - np.searchsorted(image, image)  # (T,) counted in each image
    return boxes[number < MAX_MASKS], image[number < MAX_MASKS]


def num_masks_beyond_bound(annotations: Annotations, masks: Masks, rows: NDArray[np.int64]) -> int:
    """Return how many objects of the images `rows`, (R,), are left out because their image has too many."""
    before = np.concatenate(([0], np.cumsum(annotations.is_trained_on & masks.has_mask)))  # (M + 1,)
    counts = before[annotations.first_box[rows + 1]] - before[annotations.first_box[rows]]  # (R,)
    return int((counts - MAX_MASKS).clip(min=0).sum())


def num_scored_masks(annotations: Annotations, masks: Masks, rows: NDArray[np.int64]) -> int:
    """Return the number of objects with masks in some images, without crowds: what mask AP counts."""
    spans = (slice(annotations.first_box[row], annotations.first_box[row + 1]) for row in rows)
    return sum(int((masks.has_mask[span] & ~annotations.is_crowd[span]).sum()) for span in spans)
