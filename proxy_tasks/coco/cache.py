"""Images of one split decoded, resized and padded once, as one memory-mapped array that all trials share."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from proxy_tasks.base import Report
from proxy_tasks.coco.annotations import Annotations
from search_space.errors import InputError

_VERSION = 1
"""Of the cached pixels; a change makes old caches unused."""
_NUM_THREADS = 8
_CHUNK = 256


@dataclass(frozen=True, slots=True, eq=False)
class CachedSplit:
    """One split, ready to train on; N images of S px.

    Attributes:
        images: (N, S, S, 3) uint8, memory-mapped; the long side fills S, the rest (right or bottom) is zero.
        annotations: boxes in pixels of the original images.
        scales: (N,) factor from original pixels to pixels of `images`.
    """

    images: NDArray[np.uint8]
    annotations: Annotations
    scales: NDArray[np.float64]


def cached_split(
    annotations: Annotations, image_dir: Path, image_size_px: int, cache_dir: Path, report: Report
) -> CachedSplit:
    """Open a split; decode its images first if no process has done so yet.

    The cache is either complete or not there: it is written under another name and renamed at the end. One that was
    damaged is made anew.

    Raises:
        InputError: an image cannot be decoded or has another size than the annotations say, or there is too little
            disk.
    """
    identity = [_VERSION, str(image_dir.resolve()), annotations.file_names, annotations.sizes_px.tolist()]
    name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    path = cache_dir / f"{image_dir.name}-{image_size_px}px-{name}.npy"
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            images = _load(path, (annotations.num_images, image_size_px, image_size_px, 3))
            if images is None:
                _decode_all(path, annotations, image_dir, image_size_px, report)
                images = np.load(path, mmap_mode="r")
    except OSError as error:
        raise InputError(f"cannot write the image cache {path}: {error.strerror or error}") from None
    return CachedSplit(images, annotations, image_size_px / annotations.sizes_px.max(axis=1))


def _load(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Open the cached images; None if they are not there or not whole."""
    if not path.is_file():
        return None
    try:
        images: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    except (ValueError, EOFError):
        return None
    return images if images.shape == shape and images.dtype == np.uint8 else None


def _decode_all(path: Path, annotations: Annotations, image_dir: Path, size_px: int, report: Report) -> None:
    shape = (annotations.num_images, size_px, size_px, 3)
    needed, free = int(np.prod(shape)), shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"the image cache {path} needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
            "pass task.cache_dir=/another/disk"
        )
    part = path.with_suffix(".part")
    images = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)

    def decode(i: int) -> None:
        file = image_dir / annotations.file_names[i]
        height, width = annotations.sizes_px[i].tolist()
        images[i] = decode_padded(file, (height, width), size_px)

    try:
        with ThreadPoolExecutor(_NUM_THREADS) as pool:
            for start in range(0, annotations.num_images, _CHUNK):
                stop = min(start + _CHUNK, annotations.num_images)
                list(pool.map(decode, range(start, stop)))
                report("decoding images", stop, annotations.num_images)
        images.flush()
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def decode_padded(file: Path, expected_size: tuple[int, int], size_px: int) -> NDArray[np.uint8]:
    """Return (size_px, size_px, 3): the image with its long side scaled to `size_px`, zeros to the right or below.

    Raises:
        InputError: the file is not an image, is truncated, or has another (height, width) than expected.
    """
    try:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"cannot decode {file}: {error}") from None
    if (image.height, image.width) != expected_size:
        raise InputError(
            f"{file} is {image.width}x{image.height} px, its annotations say {expected_size[1]}x{expected_size[0]}"
        )
    scale = size_px / max(expected_size)
    height, width = (max(1, round(side * scale)) for side in expected_size)
    padded = np.zeros((size_px, size_px, 3), np.uint8)
    padded[:height, :width] = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    return padded


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time in; the lock ends with the process that holds it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
