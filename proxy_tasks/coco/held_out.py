"""The held-out split: images kept for the reward, chosen once by a seed and on record beside the caches."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from foundation import InputError, write_whole
from proxy_tasks.coco.cache import CachedSplit


class _Choice(BaseModel):
    """The record: ids of the images to train on, in shuffled order, and of those held out, ascending."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: list[int]
    held_out: list[int]


def held_out_count(num_images: int, num_held_out: float) -> int:
    """Return how many of all images are held out: a number as it is, of a share below 1 the nearest, one at least."""
    return max(1, round(num_images * num_held_out)) if isinstance(num_held_out, float) else num_held_out


def split_held_out(num_images: int, num_held_out: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split the rows of images into those to train on and those held out for the reward.

    Args:
        num_images: number of images to choose from.
        num_held_out: number of images that are held out, or below 1 their share.
        seed: seed of the choice.

    Returns:
        Training rows in shuffled order, held-out rows ascending. The same arguments give the same split.

    Raises:
        InputError: nothing would be left to train on, or nothing to score on.
    """
    num = held_out_count(num_images, num_held_out)
    if num_images < 2:
        raise InputError(f"data: {num_images} image is too few: one is needed to train on, and one to score on")
    if not 1 <= num < num_images:
        raise InputError(
            f"data: num_held_out must leave something to train on and to score: 1 to {num_images - 1} of {num_images} "
            f"images or a share of them, as 0.1; got {num_held_out}"
        )
    order = np.random.default_rng([seed, num_images]).permutation(num_images)
    return order[num:], np.sort(order[:num])


def recorded_split(
    split: CachedSplit, num_held_out: float, seed: int, *, may_choose: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the choice of `split_held_out` when it was first asked, without images that cannot be used.

    The choice is kept beside the caches, one for all sizes and formats. So a reward stands for the same images
    whatever a later version of NumPy draws from a seed, and whichever image is repaired later.

    Args:
        split: images to choose from.
        num_held_out: number of images that are held out, or below 1 their share.
        seed: seed of the choice.
        may_choose: choose where there is no record; trials must not, each machine on its own.

    Raises:
        InputError: as `split_held_out`; the record cannot be written, is damaged, or is missing.
    """
    listed = split.listed_ids
    num = held_out_count(len(listed), num_held_out)
    path = split.path.parent / f"held_out-{num}-seed{seed}-{split.content.annotations}.json"
    try:
        if not path.exists():
            if not may_choose:
                raise InputError(f"{path} is missing: copy it from the machine that the search was started on")
            train, held_out = split_held_out(len(listed), num_held_out, seed)
            choice = _Choice(train=listed[train].tolist(), held_out=listed[held_out].tolist())
            write_whole(path, choice.model_dump_json().encode())
        choice = _Choice.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read the held-out split {path}: {error.strerror}") from None
    except ValidationError:
        raise _damaged(path) from None

    if len(choice.held_out) != num or sorted([*choice.train, *choice.held_out]) != listed.tolist():
        raise _damaged(path)

    # Rows change when an image is left out or repaired, ids do not.
    row_of = {image_id: row for row, image_id in enumerate(split.annotations.image_ids.tolist())}
    return _rows(choice.train, row_of), _rows(choice.held_out, row_of)


def _rows(image_ids: list[int], row_of: Mapping[int, int]) -> NDArray[np.int64]:
    """Return the rows of images; those that could not be used have none."""
    return np.array([row_of[image_id] for image_id in image_ids if image_id in row_of], dtype=np.int64)


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged: delete it, and the split is chosen again")
