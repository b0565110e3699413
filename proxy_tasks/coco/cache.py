"""One split of a data set, read, decoded, resized and padded once, so that a trial need only read bytes.

A cache is a folder: `images` (see `image_store`), `arrays.npz` (annotations, places and checksums of the images) and
`cache.json` (what it was made from). It is made under another name, chunk by chunk, and renamed when it is whole; what
was done when the making stopped is gone on with.
"""

import fcntl
import hashlib
import json
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from proxy_tasks.base import Report
from proxy_tasks.coco.annotations import Annotations, check_share, read_annotations
from proxy_tasks.coco.decode import UnusableImageError, decode_image, fit, fitted_size
from proxy_tasks.coco.image_store import Format, Images, encode, first_damaged, open_images
from search_space.errors import InputError

VERSION = 2
"""Of the format and of how pixels are made; a cache of another version lies beside, unused."""
_CHUNK = 256
"""Images between two points at which the making can be gone on with."""
_REPORT_EVERY = 32
_NUM_SAMPLED = 16
"""Images that are encoded to guess how large all JPEGs will be."""
_SUBSET_SEED = 0


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What a cache is made of, and where it lies.

    Attributes:
        annotation_file: COCO JSON.
        image_dir: folder that its file names are below.
        image_size_px: side of the cached squares.
        image_format: of the cached images.
        max_images: use only so many of the images, chosen at random but always the same; None for all.
        cache_dir: folder of all caches.
    """

    annotation_file: Path
    image_dir: Path
    image_size_px: int
    image_format: Format
    max_images: int | None
    cache_dir: Path

    def path(self) -> Path:
        """Return the folder of this cache; its name depends on the annotations' content, not on where they lie.

        Raises:
            InputError: the annotations cannot be read.
        """
        digest = hashlib.sha256(json.dumps([VERSION, self._annotations_sha256(), self.max_images]).encode())
        name = f"{self.image_dir.name}-{self.image_size_px}px-{self.image_format}-{digest.hexdigest()[:16]}"
        return self.cache_dir / name

    def _annotations_sha256(self) -> str:
        try:
            with self.annotation_file.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"cannot read {self.annotation_file}: {error.strerror}") from None


@dataclass(frozen=True, slots=True, eq=False)
class CachedSplit:
    """One split, ready to train on; N images of S px.

    Attributes:
        images: the long side fills S, the rest (right or bottom) is zero.
        annotations: of these images, boxes in pixels of the original ones.
        scales: (N,) factor from original pixels to pixels of `images`.
        sizes_px: (N, 2) height and width in `images`, without padding.
        image_size_px: S.
        path: folder of the cache.
        left_out: file names of images that could not be used, and why.
    """

    images: Images
    annotations: Annotations
    scales: NDArray[np.float64]
    sizes_px: NDArray[np.int64]
    image_size_px: int
    path: Path
    left_out: dict[str, str]


class _Meta(BaseModel):
    """`cache.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    annotation_file: str
    image_dir: str
    image_size_px: int
    image_format: Format
    max_images: int | None
    num_images: int
    num_bytes: int
    repairs: dict[str, int]
    left_out: dict[str, str]
    arrays_crc32: int


class _Chunk(BaseModel):
    """One line of `progress.jsonl`: images up to `stop` are on disk; those that could not be used take no place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stop: int
    num_bytes: list[int]
    crc32: list[int]
    source_bytes: list[int]
    repairs: dict[str, int]
    left_out: dict[int, str]


def cached_split(
    key: CacheKey, report: Report, check: Callable[[Annotations], None] = lambda annotations: None
) -> CachedSplit:
    """Open a split; make its cache first if there is none, or none that is whole.

    Args:
        key: which.
        report: called while images are decoded.
        check: called with the annotations before any image is decoded; may raise.

    Raises:
        InputError: the annotations or too many images are unusable, or there is too little disk.
    """
    path = key.path()
    if (split := _open(path)) is None:
        try:
            key.cache_dir.mkdir(parents=True, exist_ok=True)
            with _locked(key.cache_dir / f"{path.name}.lock"):
                # Another process may have made it while this one waited.
                if (split := _open(path)) is None:
                    _make(path, key, report, check)
                    split = _open(path)
        except OSError as error:
            raise InputError(
                f"cannot write the image cache {path}: {error.strerror or error}; the same command goes on from there"
            ) from None
        if split is None:
            raise InputError(f"the image cache {path} was damaged while it was written: check the disk")
    check(split.annotations)
    return split


def check_source(split: CachedSplit, image_dir: Path) -> None:
    """Check that the image files are those that a cache was made from, by their sizes; files that are gone may be.

    Raises:
        InputError: a file has another size.
    """
    with np.load(split.path / "arrays.npz") as arrays:
        source_bytes = arrays["source_bytes"]
    for name, num_bytes in zip(split.annotations.file_names, source_bytes, strict=True):
        try:
            now = os.stat(image_dir / name).st_size
        except OSError:
            continue
        if now != num_bytes:
            raise InputError(
                f"{image_dir / name} has {now} bytes, but had {num_bytes} when {split.path} was made from it: delete "
                "that folder, and the cache is made anew"
            )


def check_cache(split: CachedSplit) -> None:
    """Read all images of a cache and check their checksums.

    Raises:
        InputError: one differs.
    """
    with np.load(split.path / "arrays.npz") as arrays:
        damaged = first_damaged(split.path / "images", arrays["starts"], arrays["crc32"])
    if damaged is not None:
        raise InputError(
            f"{split.path}: image {split.annotations.file_names[damaged]} is damaged: delete that folder, and the "
            "cache is made anew"
        )


def _open(path: Path) -> CachedSplit | None:
    """Open a cache; None if it is not there or not whole."""
    try:
        meta = _Meta.model_validate_json((path / "cache.json").read_bytes())
        if zlib.crc32((path / "arrays.npz").read_bytes()) != meta.arrays_crc32:
            return None
        if (path / "images").stat().st_size != meta.num_bytes:
            return None
        with np.load(path / "arrays.npz") as arrays:
            annotations = _annotations_from(dict(arrays), meta.repairs)
            starts = arrays["starts"]
    except (OSError, ValidationError):
        return None
    size = meta.image_size_px
    return CachedSplit(
        images=open_images(path / "images", meta.image_format, starts, size),
        annotations=annotations,
        scales=size / annotations.sizes_px.max(axis=1),
        sizes_px=np.array([fitted_size(height, width, size) for height, width in annotations.sizes_px.tolist()]),
        image_size_px=size,
        path=path,
        left_out=meta.left_out,
    )


def _annotations_from(arrays: dict[str, NDArray[np.generic]], repairs: dict[str, int]) -> Annotations:
    """Turn the arrays of an `arrays.npz` back."""
    values = {field.name: arrays[field.name] for field in fields(Annotations) if field.name != "repairs"}
    lists = {name: tuple(values[name].tolist()) for name in ("file_names", "category_ids", "category_names")}
    return Annotations(**{**values, **lists, "repairs": repairs})  # type: ignore[arg-type]  # what _finish wrote


def _make(path: Path, key: CacheKey, report: Report, check: Callable[[Annotations], None]) -> None:
    report(f"reading {key.annotation_file.name}", 0, 1)
    annotations = _chosen(read_annotations(key.annotation_file, key.image_dir), key.max_images)
    report(f"reading {key.annotation_file.name}", 1, 1)
    check(annotations)
    part = path.with_name(f"{path.name}.part")
    part.mkdir(exist_ok=True)
    chunks = _resume(part)
    num_expected = _expected_bytes(key, annotations)
    num_written = sum(sum(chunk.num_bytes) for chunk in chunks)
    if (needed := num_expected - num_written) > (free := shutil.disk_usage(part).free):
        raise InputError(
            f"the image cache {path} needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
            "set cache_dir to a folder on another disk, or the cache's format to jpeg, which takes about a tenth"
        )
    chunks = _decode_all(part, key, annotations, chunks, f"decoding images to {num_expected / 1e9:.2g} GB", report)
    _finish(part, key, annotations, chunks)
    if path.exists():
        # Damaged, or it would have been opened.
        shutil.rmtree(path)
    (part / "progress.jsonl").unlink()
    part.rename(path)


def _chosen(annotations: Annotations, max_images: int | None) -> Annotations:
    if max_images is None or max_images >= annotations.num_images:
        return annotations
    rng = np.random.default_rng([_SUBSET_SEED, annotations.num_images])
    return annotations.take(np.sort(rng.permutation(annotations.num_images)[:max_images]))


def _expected_bytes(key: CacheKey, annotations: Annotations) -> int:
    """Return how large the images of a cache will be: exactly where they are raw, guessed from a few where not."""
    if key.image_format == "raw":
        return annotations.num_images * key.image_size_px**2 * 3
    rows = np.linspace(0, annotations.num_images - 1, min(_NUM_SAMPLED, annotations.num_images), dtype=int)
    samples = [len(image.data) for row in rows if isinstance(image := _encoded(key, annotations, int(row)), _Encoded)]
    return int(1.1 * annotations.num_images * sum(samples) / max(len(samples), 1))


@dataclass(frozen=True, slots=True)
class _Encoded:
    data: bytes
    crc32: int
    source_bytes: int
    repair: str


def _encoded(key: CacheKey, annotations: Annotations, row: int) -> _Encoded | UnusableImageError:
    """Return an image as it is stored, or why it cannot be."""
    file = key.image_dir / annotations.file_names[row]
    height, width = annotations.sizes_px[row].tolist()
    try:
        image, repair = decode_image(file, (height, width))
    except UnusableImageError as error:
        return error
    data = encode(fit(image, key.image_size_px), key.image_format)
    return _Encoded(data, zlib.crc32(data), file.stat().st_size, repair)


def _decode_all(
    part: Path, key: CacheKey, annotations: Annotations, chunks: list[_Chunk], what: str, report: Report
) -> list[_Chunk]:
    """Append to `images` and `progress.jsonl` what is not there yet; return all chunks."""
    num_images = annotations.num_images
    reasons = [reason for chunk in chunks for reason in chunk.left_out.values()]
    first_row = chunks[-1].stop if chunks else 0
    chunks = list(chunks)
    with (
        (part / "images").open("ab") as data,
        (part / "progress.jsonl").open("ab") as progress,
        ThreadPoolExecutor(os.cpu_count(), "decode") as pool,
    ):
        for start in range(first_row, num_images, _CHUNK):
            rows = range(start, min(start + _CHUNK, num_images))
            good: list[_Encoded] = []
            left_out: dict[int, str] = {}
            for row, image in zip(rows, pool.map(lambda row: _encoded(key, annotations, row), rows), strict=True):
                if isinstance(image, _Encoded):
                    data.write(image.data)
                    good.append(image)
                else:
                    left_out[row] = str(image)
                    reasons.append(str(image))
                    check_share(len(reasons), num_images, "images", lambda: reasons[0])
                if (row + 1) % _REPORT_EVERY == 0 or row + 1 == num_images:
                    report(what, row + 1, num_images)
            chunk = _Chunk(
                stop=rows.stop,
                num_bytes=[len(image.data) for image in good],
                crc32=[image.crc32 for image in good],
                source_bytes=[image.source_bytes for image in good],
                repairs=Counter(image.repair for image in good if image.repair),
                left_out=left_out,
            )
            # The pixels first: a line says that they are on disk.
            _sync(data)
            progress.write(chunk.model_dump_json().encode() + b"\n")
            _sync(progress)
            chunks.append(chunk)
    return chunks


def _finish(part: Path, key: CacheKey, annotations: Annotations, chunks: list[_Chunk]) -> None:
    """Write everything but the images."""
    left_out = {row: reason for chunk in chunks for row, reason in chunk.left_out.items()}
    kept = annotations.take(np.setdiff1d(np.arange(annotations.num_images), list(left_out)))
    repairs = Counter(annotations.repairs)
    for chunk in chunks:
        repairs.update(chunk.repairs)
    if left_out:
        repairs["images that cannot be used left out"] = len(left_out)
    starts = np.cumsum([0, *(number for chunk in chunks for number in chunk.num_bytes)])
    arrays = {field.name: np.asarray(getattr(kept, field.name)) for field in fields(kept) if field.name != "repairs"}
    with (part / "arrays.npz").open("wb") as file:
        np.savez(
            file,
            starts=starts,
            crc32=np.array([crc for chunk in chunks for crc in chunk.crc32], dtype=np.int64),
            source_bytes=np.array([number for chunk in chunks for number in chunk.source_bytes], dtype=np.int64),
            **arrays,  # type: ignore[arg-type]  # numpy's own option is none of these names
        )
        _sync(file)
    meta = _Meta(
        version=VERSION,
        annotation_file=str(key.annotation_file),
        image_dir=str(key.image_dir),
        image_size_px=key.image_size_px,
        image_format=key.image_format,
        max_images=key.max_images,
        num_images=kept.num_images,
        num_bytes=int(starts[-1]),
        repairs=repairs,
        left_out={annotations.file_names[row]: reason for row, reason in left_out.items()},
        arrays_crc32=zlib.crc32((part / "arrays.npz").read_bytes()),
    )
    with (part / "cache.json").open("w", encoding="utf-8") as text:
        text.write(meta.model_dump_json(indent=1))
        _sync(text)


def _resume(part: Path) -> list[_Chunk]:
    """Return the chunks that are on disk, and cut off what a stop left unfinished behind them."""
    chunks: list[_Chunk] = []
    images, progress = part / "images", part / "progress.jsonl"
    for path in (images, progress):
        path.touch()
    num_images_bytes = num_progress_bytes = 0
    with progress.open("rb") as lines:
        for line in lines:
            try:
                chunk = _Chunk.model_validate_json(line)
            except ValidationError:
                break
            if not line.endswith(b"\n") or num_images_bytes + sum(chunk.num_bytes) > images.stat().st_size:
                break
            chunks.append(chunk)
            num_images_bytes += sum(chunk.num_bytes)
            num_progress_bytes += len(line)
    os.truncate(images, num_images_bytes)
    os.truncate(progress, num_progress_bytes)
    return chunks


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time in; the lock ends with the process that holds it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
