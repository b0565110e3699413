"""Cached splits: read, decoded, resized and padded once, so that a trial need only read bytes."""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from foundation import InputError, make_folder
from proxy_tasks.base import Report
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.bad_entries import Count, Kind, check_counts
from proxy_tasks.coco.cache_files import BAD_LIST, CacheKey, Meta, SplitContent, checksum, read_arrays
from proxy_tasks.coco.cache_making import make_cache, take_name
from proxy_tasks.coco.decode import fitted_sizes
from proxy_tasks.coco.image_store import Images, JpegFile, first_damaged, open_images
from proxy_tasks.coco.mask_cache import cached_masks
from proxy_tasks.coco.masks import Masks
from proxy_tasks.coco.native_images import Native, NativeImages
from proxy_tasks.coco.sources import current_sources, read_sources, write_sources


@dataclass(frozen=True, slots=True, eq=False)
class CachedSplit:
    """One split, ready to train on; N images of S px.

    Attributes:
        images: the long side fills S, the rest (right or bottom) is black; native ones are read in their own size too.
        annotations: annotations of these images, boxes in pixels of the original ones.
        listed_ids: ids of all images that the annotation file lists, those that could not be used included, ascending.
        scales_xy: (N, 2) factors from original pixels to pixels of `images`, of x and of y: sizes are rounded.
        sizes_px: (N, 2) height and width in `images`, without padding.
        image_size_px: S.
        content: stands for annotations and images; the same for caches of other sizes and formats.
        path: folder of the cache.
        left_out: reason for each image that could not be used, by its file name.
        bad: number of bad entries of each kind that has any.
        bad_list: file that lists them.
        masks: masks of the boxes; None where they were not asked for.
    """

    images: Images
    annotations: Annotations
    listed_ids: NDArray[np.int64]
    scales_xy: NDArray[np.float64]
    sizes_px: NDArray[np.int64]
    image_size_px: int
    content: SplitContent
    path: Path
    left_out: dict[str, str]
    bad: dict[Kind, Count]
    bad_list: Path
    masks: Masks | None = None


def cached_split(
    key: CacheKey, report: Report, check: Callable[[Annotations], None] = lambda annotations: None
) -> CachedSplit:
    """Open a split; make its cache first if there is none of its annotations and images, or none that is whole.

    Args:
        key: names the split and its form.
        report: called while it is made, or while image files that changed are compared with what was cached.
        check: called with the annotations before any image is decoded; may raise.

    Raises:
        InputError: the annotations are unusable, too much is bad, or there is too little disk.
    """
    fingerprint = key.fingerprint()
    split = _open_current(key, fingerprint, report)
    if split is None:
        split = _make(key, fingerprint, report, check)

    # It may have been made where more was tolerated.
    check_counts(split.bad, key.max_bad_share, str(key.annotation_file), split.bad_list)
    check(split.annotations)
    return split


def existing_split(key: CacheKey, content: SplitContent | None) -> CachedSplit:
    """Open a split whose cache was made before.

    Args:
        key: names the split and its form.
        content: what its cache was made of; None for what the image folder held when `cached_split` last looked.

    Raises:
        InputError: the annotations cannot be read, or there is no cache of this content that is whole.
    """
    found = content or recorded_content(key)
    if found is None:
        raise _not_there(key.unfinished_path(key.fingerprint()).with_suffix(""), "missing", key)

    path = key.path(found)
    split = _open(path, key)
    if split is None:
        raise _not_there(path, "damaged" if path.exists() else "missing", key)
    return split


def with_masks(split: CachedSplit, key: CacheKey, report: Report | None) -> CachedSplit:
    """Return a split with its masks, which are read from the annotation file once; see `cached_masks`.

    Raises:
        InputError: they cannot be had, or too many are bad.
    """
    found = cached_masks(split.path, key.annotation_file, split.annotations, key.max_bad_share, report)
    repairs = {**split.annotations.repairs, **found.repairs}
    annotations = replace(split.annotations, repairs=repairs)
    return replace(split, masks=found.masks, annotations=annotations, bad={**split.bad, **found.bad})


def masks_of(split: CachedSplit) -> Masks:
    """Return the masks of a split.

    Raises:
        ValueError: they were not asked for.
    """
    if split.masks is None:
        raise ValueError(f"{split.path} was opened without masks")
    return split.masks


def recorded_content(key: CacheKey) -> SplitContent | None:
    """Return what a split held when `cached_split` last looked; None where it never has.

    Raises:
        InputError: the annotations cannot be read.
    """
    fingerprint = key.fingerprint()
    sources = read_sources(key.source_record(fingerprint))
    return None if sources is None else SplitContent(fingerprint, sources.identity)


def preparing_command(key: CacheKey) -> str:
    """Return the command that makes a cache beforehand."""
    if isinstance(key.image_format, Native):
        return "python -m nas.train prepare_only=true (of a search: python -m nas.prepare)"
    return "python -m nas.prepare"


def _not_there(path: Path, state: str, key: CacheKey) -> InputError:
    # Trainings in full have native images, and searches for some heads.
    is_native = isinstance(key.image_format, Native)
    work, start = ("training or search", "start") if is_native else ("search", "first trial")
    return InputError(
        f"the image cache {path} is {state}: every machine needs it, made of the same images, before its {start}; "
        f"start the {work} on this machine, or run {preparing_command(key)} here, or share the folder between machines"
    )


def check_cache(split: CachedSplit, report: Report) -> None:
    """Read all images of a cache and check their checksums.

    Raises:
        InputError: one differs.
    """
    arrays = read_arrays(split.path / "arrays.npz", {})
    damaged = first_damaged(split.path / "images", arrays.starts, arrays.crc32, report)
    if damaged is not None:
        raise InputError(
            f"{split.path}: image {split.annotations.file_names[damaged]} is damaged: delete that folder, and the "
            "cache is made again"
        )


def _make(key: CacheKey, fingerprint: str, report: Report, check: Callable[[Annotations], None]) -> CachedSplit:
    """Make a cache, one process at a time, and open it."""
    part = key.unfinished_path(fingerprint)

    try:
        make_folder(key.cache_dir)
        with _locked(part.with_suffix(".lock"), report):
            # Another process may have made it while this one waited.
            split = _open_current(key, fingerprint, report)
            if split is None:
                sources = make_cache(key, fingerprint, report, check)
                path = key.path(SplitContent(fingerprint, sources.identity))
                write_sources(key.source_record(fingerprint), sources)
                split = _open_new(part, path, key)
    except OSError as error:
        raise InputError(
            f"cannot write the image cache {part.with_suffix('')}: {error.strerror or error}; the same command "
            "resumes from there"
        ) from None

    if split is None:
        raise InputError(f"the image cache {path} was damaged while it was written: check the disk")
    return split


def _open_current(key: CacheKey, fingerprint: str, report: Report) -> CachedSplit | None:
    """Open the cache of what the image folder holds now; None if there is none that is whole."""
    sources = current_sources(key.source_record(fingerprint), fingerprint, key.image_dir, report)
    return None if sources is None else _open(key.path(SplitContent(fingerprint, sources.identity)), key)


def _open_new(part: Path, path: Path, key: CacheKey) -> CachedSplit | None:
    """Open a cache that has just been made, unless there is one like it."""
    split = _open(path, key)
    if split is not None:
        # The same images were cached from another folder, whose record is gone.
        shutil.rmtree(part)
        return split

    take_name(part, path)
    return _open(path, key)


def _open(path: Path, key: CacheKey) -> CachedSplit | None:
    """Open the cache of a key; None if it is not there or not whole."""
    try:
        meta = Meta.model_validate_json((path / "cache.json").read_bytes())
        # Of the images only the size is checked here: reading them all takes minutes, see `check_cache`.
        if checksum(path / "arrays.npz") != meta.arrays_crc32:
            return None
        if (path / "images").stat().st_size != meta.num_bytes:
            return None

        arrays = read_arrays(path / "arrays.npz", meta.repairs)
    except (OSError, ValidationError):
        return None

    size, original_px = key.image_size_px, arrays.annotations.sizes_px
    sizes_px = fitted_sizes(original_px, size)  # (N, 2)
    if isinstance(key.image_format, Native):
        images: Images = NativeImages(JpegFile(path / "images", arrays.starts), size)
    else:
        images = open_images(path / "images", key.image_format, arrays.starts, size)
    return CachedSplit(
        images=images,
        annotations=arrays.annotations,
        listed_ids=arrays.listed_ids,
        scales_xy=(sizes_px / original_px)[:, ::-1],
        sizes_px=sizes_px,
        image_size_px=size,
        content=SplitContent(meta.fingerprint, meta.images),
        path=path,
        left_out=meta.left_out,
        bad=meta.bad,
        bad_list=path / BAD_LIST,
    )


@contextmanager
def _locked(path: Path, report: Report) -> Iterator[None]:
    """Admit one process at a time; the lock ends with the process that holds it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another process that makes the same cache", 0, 1)
            fcntl.flock(file, fcntl.LOCK_EX)
            report("waiting for another process that makes the same cache", 1, 1)
        yield
