"""The masks of a cached split: a file in the folder of its cache, made the first time that masks are asked for."""

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foundation import InputError, write_whole
from proxy_tasks.base import Report
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.bad_entries import BadEntries, Count, Kind, check_counts
from proxy_tasks.coco.mask_file import read_masks
from proxy_tasks.coco.masks import Masks

FILE_NAME, BAD_LIST = "masks.npz", "bad-masks.txt"
_VERSION = 1
"""Version of the file and of how masks are encoded; one of another version is made again."""


class CachedMasks(NamedTuple):
    """Masks of a split, with what was repaired in them, in words, and how often, and how many are bad."""

    masks: Masks
    repairs: dict[str, int]
    bad: dict[Kind, Count]


def cached_masks(
    folder: Path, annotation_file: Path, annotations: Annotations, max_bad_share: float, report: Report | None
) -> CachedMasks:
    """Return the masks of a split; read them from its annotation file first where that was never done.

    Args:
        folder: of the split's cache. It is of this annotation file and no other, as its name says.
        annotation_file: COCO JSON.
        annotations: the split's, as its cache holds them.
        max_bad_share: largest share of bad masks.
        report: called while they are made; None where they must be there.

    Raises:
        InputError: they are not there, cannot be made or written, or too many are bad.
    """
    found = _read(folder / FILE_NAME, len(annotations.labels))
    if found is None:
        if report is None:
            raise InputError(
                f"the cache {folder} has no masks, or damaged ones: run python -m nas.train head=mask_rcnn "
                "prepare_only=true (of a search: python -m nas.prepare) first"
            )
        found = _make(folder, annotation_file, annotations, max_bad_share, report)

    # They may have been made where more was tolerated.
    check_counts(found.bad, max_bad_share, str(annotation_file), folder / BAD_LIST)
    return found


def _make(
    folder: Path, annotation_file: Path, annotations: Annotations, max_bad_share: float, report: Report
) -> CachedMasks:
    bad = BadEntries(folder / BAD_LIST, max_bad_share)
    masks, repairs = read_masks(annotation_file, annotations, bad, report)

    about = json.dumps({"version": _VERSION, "repairs": repairs, "bad": bad.counts})
    # Two commands may make it at the same time, and each its own.
    content = BytesIO()
    np.savez(content, counts=masks.counts, starts=masks.starts, sizes_px=masks.sizes_px, about=np.array(about))
    write_whole(folder / FILE_NAME, content.getbuffer())
    return CachedMasks(masks, repairs, bad.counts)


def _read(path: Path, num_objects: int) -> CachedMasks | None:
    """Read the file; None where it is not there, damaged, or of another version."""
    try:
        # Each part has a checksum of its own, which is compared here.
        with np.load(path) as file:
            about = json.loads(str(file["about"]))
            masks = Masks(file["counts"], file["starts"], file["sizes_px"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if about["version"] != _VERSION or len(masks.sizes_px) != num_objects:
        return None
    return CachedMasks(masks, about["repairs"], {kind: Count(*pair) for kind, pair in about["bad"].items()})
