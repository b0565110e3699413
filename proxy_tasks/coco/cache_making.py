"""Making a cache, which appears whole or not at all; a making that was stopped resumes.

It is made in a folder of another name, chunk by chunk, and renamed when it is whole. A line of `progress.jsonl` says
that the pixels of a chunk are on disk.
"""

import os
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, assert_never

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from foundation import InputError, sync_folder
from proxy_tasks.base import Report
from proxy_tasks.coco.annotations import Annotations, check_share, read_annotations
from proxy_tasks.coco.cache_files import NO_FILE, VERSION, Arrays, CacheKey, LeftOut, Meta, checksum, source_size, sync
from proxy_tasks.coco.decode import UnusableImageError, decode_image, fit
from proxy_tasks.coco.image_store import encode, num_cores

_CHUNK_IMAGES, _CHUNK_BYTES = 256, 2**28
"""Most images, and most bytes of pixels, between two points from which the making can resume."""
_REPORT_EVERY = 32
_NUM_SAMPLED = 16
"""Images that are encoded to estimate how large all JPEGs will be."""
_SUBSET_SEED = 0


class _Image(BaseModel):
    """The outcome of one image; one that is left out takes no bytes and has a reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_bytes: int
    num_bytes: int = 0
    crc32: int = 0
    repair: str = ""
    left_out: str = ""


class _Chunk(BaseModel):
    """One line of `progress.jsonl`: the next images of the list, and the number of bytes that they take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_bytes: int
    images: list[_Image]


def make_cache(key: CacheKey, fingerprint: str, report: Report, check: Callable[[Annotations], None]) -> None:
    """Make a cache; see `cached_split`.

    Raises:
        InputError: as there.
        OSError: it cannot be written.
    """
    report(f"reading {key.annotation_file.name}", 0, 1)
    listed = _chosen(read_annotations(key.annotation_file, key.image_dir), key.max_images)
    report(f"reading {key.annotation_file.name}", 1, 1)
    check(listed)

    path = key.path(fingerprint)
    part = path.with_name(f"{path.name}.part")
    chunks = _resume(part, key, listed) if part.exists() else []
    num_bytes = _expected_bytes(key, listed)
    _check_disk(path, num_bytes - sum(chunk.num_bytes for chunk in chunks))

    part.mkdir(exist_ok=True)
    chunks = _decode_all(part, key, listed, chunks, f"decoding images to {num_bytes / 1e9:.2g} GB", report)
    images = [image for chunk in chunks for image in chunk.images]
    _finish(part, key, fingerprint, listed, images)

    # A cache that is there already is a damaged one, else no other would be made.
    if path.exists():
        shutil.rmtree(path)
    part.rename(path)
    (path / "progress.jsonl").unlink()

    # A journal relies on it from now on: its name is on disk as well.
    sync_folder(path.parent)


def _check_disk(path: Path, num_bytes: int) -> None:
    """Check that there is space for `num_bytes` more."""
    free = shutil.disk_usage(path.parent).free
    if num_bytes > free:
        raise InputError(
            f"the image cache {path} needs {num_bytes / 1e9:.2g} GB and {free / 1e9:.2g} GB are free: delete what is "
            f"not needed in {path.parent}, set cache_dir to a folder on another disk, or the cache's format to jpeg, "
            "which takes about a tenth"
        )


def _chosen(annotations: Annotations, max_images: int | None) -> Annotations:
    """Return the annotations of at most `max_images` images, chosen at random but always the same."""
    if max_images is None or max_images >= annotations.num_images:
        return annotations

    rng = np.random.default_rng([_SUBSET_SEED, annotations.num_images])
    return annotations.take(np.sort(rng.permutation(annotations.num_images)[:max_images]))


class _Encoded(NamedTuple):
    image: _Image
    data: bytes


def _encoded(key: CacheKey, listed: Annotations, row: int) -> _Encoded:
    """Decode an image; return its outcome and its bytes in the cache.

    Raises:
        InputError: its file is there but cannot be read.
    """
    file = key.image_dir / listed.file_names[row]
    height, width = listed.sizes_px[row].tolist()
    source_bytes = NO_FILE
    try:
        source_bytes = source_size(file)
        if source_bytes == NO_FILE:
            raise UnusableImageError(f"there is no file {file}")
        decoded, repair = decode_image(file, (height, width))
    except UnusableImageError as error:
        # Left out and on record, up to the share that `check_share` allows.
        return _Encoded(_Image(source_bytes=source_bytes, left_out=str(error)), b"")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None

    data = encode(fit(decoded, key.image_size_px), key.image_format)
    image = _Image(source_bytes=source_bytes, num_bytes=len(data), crc32=zlib.crc32(data), repair=repair)
    return _Encoded(image, data)


def _expected_bytes(key: CacheKey, listed: Annotations) -> int:
    """Return how large the images of a cache will be: exact where they are raw, else estimated from a few."""
    match key.image_format:
        case "raw":
            return listed.num_images * key.image_size_px**2 * 3
        case "jpeg":
            rows = np.linspace(0, listed.num_images - 1, min(_NUM_SAMPLED, listed.num_images), dtype=int)
            sizes = [len(_encoded(key, listed, row).data) for row in rows.tolist()]
            # Images that cannot be used take no bytes and are no samples.
            usable = [size for size in sizes if size]
            return int(1.1 * listed.num_images * sum(usable) / max(len(usable), 1))
        case _:
            assert_never(key.image_format)


def _decode_all(
    part: Path, key: CacheKey, listed: Annotations, done: list[_Chunk], what: str, report: Report
) -> list[_Chunk]:
    """Append the images that are not there yet to `images` and `progress.jsonl`; return all chunks."""
    chunks = list(done)
    images_done = [image for chunk in done for image in chunk.images]
    reasons = [image.left_out for image in images_done if image.left_out]
    report(what, len(images_done), listed.num_images)

    with (
        (part / "images").open("ab") as data,
        (part / "progress.jsonl").open("ab") as progress,
        ThreadPoolExecutor(num_cores(), "decode") as pool,
    ):
        for rows in _chunks_of_rows(key, len(images_done), listed.num_images):
            images = []
            decoded = pool.map(lambda row: _encoded(key, listed, row), rows)
            for row, encoded in zip(rows, decoded, strict=True):
                data.write(encoded.data)
                images.append(encoded.image)

                if encoded.image.left_out:
                    reasons.append(encoded.image.left_out)
                    check_share(len(reasons), listed.num_images, "images", lambda: reasons[-1])
                if (row + 1) % _REPORT_EVERY == 0 or row + 1 == listed.num_images:
                    report(what, row + 1, listed.num_images)

            # The pixels first: a line of progress says that they are on the disk.
            chunk = _Chunk(num_bytes=sum(image.num_bytes for image in images), images=images)
            sync(data)
            progress.write(chunk.model_dump_json(exclude_defaults=True).encode() + b"\n")
            sync(progress)
            chunks.append(chunk)
    return chunks


def _chunks_of_rows(key: CacheKey, first_row: int, num_rows: int) -> Iterator[range]:
    """Yield the rows of the images of each chunk."""
    bytes_an_image = 3 * key.image_size_px**2
    chunk_size = min(_CHUNK_IMAGES, max(1, _CHUNK_BYTES // bytes_an_image))
    for start in range(first_row, num_rows, chunk_size):
        yield range(start, min(start + chunk_size, num_rows))


def _finish(part: Path, key: CacheKey, fingerprint: str, listed: Annotations, images: list[_Image]) -> None:
    """Write everything but the images."""
    left_out = {
        listed.file_names[row]: LeftOut(reason=image.left_out, source_bytes=image.source_bytes)
        for row, image in enumerate(images)
        if image.left_out
    }
    kept = [image for image in images if not image.left_out]
    is_kept = np.array([not image.left_out for image in images])

    repairs = Counter(listed.repairs) + Counter(image.repair for image in kept if image.repair)
    if left_out:
        repairs["images that cannot be used left out"] = len(left_out)

    arrays = Arrays(
        annotations=listed.take(np.flatnonzero(is_kept)),
        starts=np.cumsum([0, *(image.num_bytes for image in kept)]),
        crc32=np.array([image.crc32 for image in kept], dtype=np.int64),
        source_bytes=np.array([image.source_bytes for image in kept], dtype=np.int64),
        listed_ids=listed.image_ids,
    )
    arrays.write(part / "arrays.npz")

    # Last, and with the checksum of the arrays: a cache is whole where this file is there and agrees.
    meta = Meta(
        version=VERSION,
        fingerprint=fingerprint,
        annotation_file=str(key.annotation_file),
        image_dir=str(key.image_dir),
        image_size_px=key.image_size_px,
        image_format=key.image_format,
        max_images=key.max_images,
        num_images=len(kept),
        num_bytes=int(arrays.starts[-1]),
        repairs=repairs,
        left_out=left_out,
        arrays_crc32=checksum(part / "arrays.npz"),
    )
    with (part / "cache.json").open("w", encoding="utf-8") as text:
        text.write(meta.model_dump_json(indent=1))
        sync(text)
    sync_folder(part)


def _resume(part: Path, key: CacheKey, listed: Annotations) -> list[_Chunk]:
    """Return the chunks that are on disk and still valid, and cut off what comes after them."""
    images, progress = part / "images", part / "progress.jsonl"
    for path in (images, progress):
        path.touch()

    # The first line that does not hold ends it: pixels behind it would stand at the wrong offsets.
    chunks: list[_Chunk] = []
    num_images_bytes = num_progress_bytes = num_images = 0
    with progress.open("rb") as lines:
        for line in lines:
            try:
                chunk = _Chunk.model_validate_json(line)
            except ValidationError:
                break

            # A kill may have cut the line; a full disk, or another machine's, may have lost pixels that it promises.
            is_whole = line.endswith(b"\n") and num_images_bytes + chunk.num_bytes <= images.stat().st_size
            if not is_whole or not _still_holds(chunk, key, listed, num_images):
                break

            chunks.append(chunk)
            num_images += len(chunk.images)
            num_images_bytes += chunk.num_bytes
            num_progress_bytes += len(line)

    os.truncate(images, num_images_bytes)
    os.truncate(progress, num_progress_bytes)
    return chunks


def _still_holds(chunk: _Chunk, key: CacheKey, listed: Annotations, first_row: int) -> bool:
    """Return whether the files of a chunk are what they were: some may have been replaced since."""
    names = listed.file_names[first_row : first_row + len(chunk.images)]
    sizes = [source_size(key.image_dir / name) for name in names]
    return sizes == [image.source_bytes for image in chunk.images]
