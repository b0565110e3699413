"""Cached splits: read, decoded, resized and padded once, so that a trial need only read bytes."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from foundation import InputError, make_folder
from proxy_tasks.base import Report
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.cache_files import NO_FILE, CacheKey, LeftOut, Meta, checksum, read_arrays, source_size
from proxy_tasks.coco.cache_making import make_cache
from proxy_tasks.coco.decode import fitted_size
from proxy_tasks.coco.image_store import Images, first_damaged, open_images


@dataclass(frozen=True, slots=True, eq=False)
class CachedSplit:
    """One split, ready to train on; N images of S px.

    Attributes:
        images: the long side fills S, the rest (right or bottom) is black.
        annotations: annotations of these images, boxes in pixels of the original ones.
        listed_ids: ids of all images that the annotation file lists, those that could not be used included, ascending.
        scales: (N,) factor from original pixels to pixels of `images`.
        sizes_px: (N, 2) height and width in `images`, without padding.
        image_size_px: S.
        fingerprint: stands for the annotations; the same for caches of other sizes and formats.
        path: folder of the cache.
        left_out: reason for each image that could not be used, by its file name.
    """

    images: Images
    annotations: Annotations
    listed_ids: NDArray[np.int64]
    scales: NDArray[np.float64]
    sizes_px: NDArray[np.int64]
    image_size_px: int
    fingerprint: str
    path: Path
    left_out: dict[str, LeftOut]


def cached_split(
    key: CacheKey, report: Report, check: Callable[[Annotations], None] = lambda annotations: None
) -> CachedSplit:
    """Open a split; make its cache first if there is none, or none that is whole.

    Args:
        key: names the split and its form.
        report: called while it is made.
        check: called with the annotations before any image is decoded; may raise.

    Raises:
        InputError: the annotations or too many images are unusable, or there is too little disk.
    """
    fingerprint = key.fingerprint()
    split = _open(key.path(fingerprint))
    if split is None:
        split = _make(key, fingerprint, report, check)

    check(split.annotations)
    return split


def existing_split(key: CacheKey) -> CachedSplit:
    """Open a split whose cache was made before.

    Raises:
        InputError: the annotations cannot be read, or there is no cache of them that is whole.
    """
    path = key.path(key.fingerprint())
    split = _open(path)
    if split is None:
        state = "damaged" if path.exists() else "missing"
        raise InputError(
            f"the image cache {path} is {state}: every machine needs it before its first trial; start the search on "
            "this machine, or run python -m nas.prepare here, or share the folder between machines"
        )
    return split


def check_source(split: CachedSplit, image_dir: Path) -> None:
    """Check that the image files are those that a cache was made from, by their sizes; files that are gone may be.

    Raises:
        InputError: a file has another size, or one that could not be used has changed.
    """
    advice = f"delete {split.path}, and the cache is made again"
    known = read_arrays(split.path / "arrays.npz", {}).source_bytes  # (N,)
    for name, num_bytes in zip(split.annotations.file_names, known.tolist(), strict=True):
        now = source_size(image_dir / name)
        if now not in (num_bytes, NO_FILE):
            raise InputError(
                f"{image_dir / name} has {now} bytes, but had {num_bytes} when its cache was made: {advice}"
            )

    for name, image in split.left_out.items():
        if source_size(image_dir / name) != image.source_bytes:
            raise InputError(f"{image_dir / name} could not be used ({image.reason}), and has changed since: {advice}")


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
    path = key.path(fingerprint)

    try:
        make_folder(key.cache_dir)
        with _locked(key.cache_dir / f"{path.name}.lock", report):
            # Another process may have made it while this one waited.
            split = _open(path)
            if split is None:
                make_cache(key, fingerprint, report, check)
                split = _open(path)
    except OSError as error:
        raise InputError(
            f"cannot write the image cache {path}: {error.strerror or error}; the same command resumes from there"
        ) from None

    if split is None:
        raise InputError(f"the image cache {path} was damaged while it was written: check the disk")
    return split


def _open(path: Path) -> CachedSplit | None:
    """Open a cache; None if it is not there or not whole."""
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

    size, sizes_px = meta.image_size_px, arrays.annotations.sizes_px
    return CachedSplit(
        images=open_images(path / "images", meta.image_format, arrays.starts, size),
        annotations=arrays.annotations,
        listed_ids=arrays.listed_ids,
        scales=size / sizes_px.max(axis=1),
        sizes_px=np.array([fitted_size(height, width, size) for height, width in sizes_px.tolist()]),
        image_size_px=size,
        fingerprint=meta.fingerprint,
        path=path,
        left_out=meta.left_out,
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
