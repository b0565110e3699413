"""Which images are kept for the reward: chosen once, by a seed, and on record beside the images."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from proxy_tasks.coco.cache import CachedSplit
from search_space.errors import InputError


class _Choice(BaseModel):
    """The record: ids of the images to train on, in shuffled order, and of those held out, ascending."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: list[int]
    held_out: list[int]


def split_held_out(num_images: int, num_held_out: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split image rows into those to train on and those held out for the reward.

    Returns:
        Training rows in shuffled order, held-out rows ascending. The same arguments give the same split.

    Raises:
        InputError: nothing would be left to train on, or nothing to score on.
    """
    if not 1 <= num_held_out < num_images:
        raise InputError(
            f"data: num_held_out must leave something to train on and to score: 1 to {num_images - 1} of {num_images} "
            f"images, got {num_held_out}"
        )
    order = np.random.default_rng([seed, num_images]).permutation(num_images)
    return order[num_held_out:], np.sort(order[:num_held_out])


def recorded_split(split: CachedSplit, num_held_out: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what `split_held_out` chose when it was first asked; the choice is kept in the cache's folder.

    So a reward stands for the same images whatever a later version of NumPy draws from a seed.

    Raises:
        InputError: as `split_held_out`; the record cannot be written or is damaged.
    """
    path = split.path / f"held_out-{num_held_out}-seed{seed}.json"
    ids = split.annotations.image_ids
    try:
        if not path.exists():
            train, held_out = split_held_out(len(ids), num_held_out, seed)
            _write(path, _Choice(train=ids[train].tolist(), held_out=ids[held_out].tolist()))
        choice = _Choice.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot keep the held-out split in {path}: {error.strerror}") from None
    except ValidationError:
        raise InputError(f"{path} is damaged: delete it, and the split is chosen again") from None
    # Ids ascend, as annotations are read in their order.
    return np.searchsorted(ids, choice.train), np.searchsorted(ids, choice.held_out)


def _write(path: Path, choice: _Choice) -> None:
    part = path.with_name(f"{path.name}.part{os.getpid()}")
    part.write_text(choice.model_dump_json(), encoding="utf-8")
    part.rename(path)
