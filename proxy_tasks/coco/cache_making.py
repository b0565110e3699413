"""Making a cache, which appears whole or not at all; a making that was stopped resumes.

It is made in a folder of another name, chunk by chunk, and renamed when it is whole. A line of `progress.jsonl` says
that the pixels of a chunk are on disk.
"""

import hashlib
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, assert_never

import numpy as np
from PIL import Image

from foundation import InputError, sync_folder
from proxy_tasks.base import Report
from proxy_tasks.coco.annotation_file import read_annotations
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.bad_entries import BadEntries, list_file_of
from proxy_tasks.coco.cache_files import BAD_LIST, VERSION, Arrays, CacheKey, Meta, checksum, stored_form, sync
from proxy_tasks.coco.cache_progress import Chunk, ImageOutcome, resume
from proxy_tasks.coco.decode import UnusableImageError, decode_image, fit
from proxy_tasks.coco.image_store import encode, num_cores
from proxy_tasks.coco.native_images import Native, native_jpeg
from proxy_tasks.coco.sources import NO_CONTENT, NO_FILE, Sources, file_state

_CHUNK_IMAGES, _CHUNK_BYTES = 256, 2**28
"""Most images, and most bytes of pixels, between two points from which the making can resume."""
_REPORT_EVERY = 32
_NUM_SAMPLED = 16
"""Images that are encoded to estimate how large all JPEGs will be."""
_SUBSET_SEED = 0


def make_cache(key: CacheKey, fingerprint: str, report: Report, check: Callable[[Annotations], None]) -> Sources:
    """Make a cache in its unfinished folder, and return the images that it was made from; see `cached_split`.

    Raises:
        InputError: as there.
        OSError: it cannot be written.
    """
    part = key.unfinished_path(fingerprint)
    bad = BadEntries(list_file_of(part), key.max_bad_share)
    report(f"reading {key.annotation_file.name}", 0, 1)
    listed = _chosen(read_annotations(key.annotation_file, key.image_dir, bad), key.max_images)
    report(f"reading {key.annotation_file.name}", 1, 1)
    check(listed)

    chunks = resume(part, key, listed) if part.exists() else []
    num_bytes = _expected_bytes(key, listed)
    _check_disk(part, num_bytes - sum(chunk.num_bytes for chunk in chunks), may_shrink=key.image_format == "raw")

    part.mkdir(exist_ok=True)
    chunks = _decode_all(part, key, listed, chunks, f"decoding images to {num_bytes / 1e9:.2g} GB", report)
    images = [image for chunk in chunks for image in chunk.images]

    # Only now, so that the list is whole. What is decoded stays: with a larger share the making ends at once.
    outcomes = zip(listed.image_ids.tolist(), images, strict=True)
    reasons = [f"image {image_id}: {image.left_out}" for image_id, image in outcomes if image.left_out]
    bad.note("images", reasons, len(images))
    bad.check(key.annotation_file)

    sources = _sources(listed, images)
    _finish(part, key, fingerprint, sources.identity, listed, images, bad)
    return sources


def _sources(listed: Annotations, images: list[ImageOutcome]) -> Sources:
    """Return the files that the images were made from."""
    hashes = b"".join(bytes.fromhex(image.sha256) for image in images)
    return Sources(
        file_names=listed.file_names,
        states=np.array([image.state for image in images], dtype=np.int64),
        sha256=np.frombuffer(hashes, dtype=np.uint8).reshape(len(images), len(NO_CONTENT)),
    )


def take_name(part: Path, path: Path) -> None:
    """Give a cache that is whole its own name, in place of one that is damaged."""
    if path.exists():
        shutil.rmtree(path)
    part.rename(path)
    (path / "progress.jsonl").unlink()

    # A journal relies on it from now on: its name is on disk as well.
    sync_folder(path.parent)


def _check_disk(part: Path, num_bytes: int, *, may_shrink: bool) -> None:
    """Check that there is space for `num_bytes` more; `may_shrink` where another format takes less."""
    path = part.with_suffix("")
    free = shutil.disk_usage(path.parent).free
    if num_bytes > free:
        or_jpeg = ", or the cache's format to jpeg, which takes about a tenth" if may_shrink else ""
        raise InputError(
            f"the image cache {path} needs {num_bytes / 1e9:.2g} GB and {free / 1e9:.2g} GB are free: delete what is "
            f"not needed in {path.parent}, set cache_dir to a folder on another disk{or_jpeg}"
        )


def _chosen(annotations: Annotations, max_images: int | None) -> Annotations:
    """Return the annotations of at most `max_images` images, chosen at random but always the same."""
    if max_images is None or max_images >= annotations.num_images:
        return annotations

    rng = np.random.default_rng([_SUBSET_SEED, annotations.num_images])
    return annotations.take(np.sort(rng.permutation(annotations.num_images)[:max_images]))


class _Encoded(NamedTuple):
    image: ImageOutcome
    data: bytes


def _encoded(key: CacheKey, listed: Annotations, row: int) -> _Encoded:
    """Decode an image; return its outcome and its bytes in the cache.

    Raises:
        InputError: its file is there but cannot be read.
    """
    file = key.image_dir / listed.file_names[row]
    height, width = listed.sizes_px[row].tolist()
    state, sha256 = NO_FILE, NO_CONTENT
    try:
        # The state before the content: a file that changes in between is then read again by the next start.
        state = file_state(file)
        if state == NO_FILE:
            raise UnusableImageError(f"there is no file {file}")
        content = file.read_bytes()
        sha256 = hashlib.sha256(content).digest()
        decoded, repair = decode_image(file, (height, width), content)
    except UnusableImageError as error:
        # Left out and on record, up to the share that may be.
        return _Encoded(ImageOutcome(state=state, sha256=sha256.hex(), left_out=str(error)), b"")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None

    data = _stored(key, decoded, content)
    image = ImageOutcome(state=state, sha256=sha256.hex(), num_bytes=len(data), crc32=zlib.crc32(data), repair=repair)
    return _Encoded(image, data)


def _stored(key: CacheKey, image: Image.Image, content: bytes) -> bytes:
    """Return the bytes of an image in the cache; `content` is what its file holds."""
    if isinstance(key.image_format, Native):
        return native_jpeg(image, content, key.image_format.longest_side_px)
    return encode(fit(image, key.image_size_px), key.image_format)


def _expected_bytes(key: CacheKey, listed: Annotations) -> int:
    """Return how large the images of a cache will be: exact where they are raw, else estimated from a few."""
    match key.image_format:
        case "raw":
            return listed.num_images * key.image_size_px**2 * 3
        case "jpeg" | Native():
            rows = np.linspace(0, listed.num_images - 1, min(_NUM_SAMPLED, listed.num_images), dtype=int)
            sizes = [len(_encoded(key, listed, row).data) for row in rows.tolist()]
            # Images that cannot be used take no bytes and are no samples.
            usable = [size for size in sizes if size]
            return int(1.1 * listed.num_images * sum(usable) / max(len(usable), 1))
        case _:
            assert_never(key.image_format)


def _decode_all(
    part: Path, key: CacheKey, listed: Annotations, done: list[Chunk], what: str, report: Report
) -> list[Chunk]:
    """Append the images that are not there yet to `images` and `progress.jsonl`; return all chunks."""
    chunks = list(done)
    image_dir = os.path.realpath(key.image_dir)
    num_done = sum(len(chunk.images) for chunk in done)
    report(what, num_done, listed.num_images)

    with (
        (part / "images").open("ab") as data,
        (part / "progress.jsonl").open("ab") as progress,
        ThreadPoolExecutor(num_cores(), "decode") as pool,
    ):
        for rows in _chunks_of_rows(key, num_done, listed.num_images):
            images = []
            decoded = pool.map(lambda row: _encoded(key, listed, row), rows)
            for row, encoded in zip(rows, decoded, strict=True):
                data.write(encoded.data)
                images.append(encoded.image)
                if (row + 1) % _REPORT_EVERY == 0 or row + 1 == listed.num_images:
                    report(what, row + 1, listed.num_images)

            # The pixels first: a line of progress says that they are on the disk.
            num_bytes = sum(image.num_bytes for image in images)
            chunk = Chunk(image_dir=image_dir, num_bytes=num_bytes, images=images)
            sync(data)
            progress.write(chunk.model_dump_json(exclude_defaults=True).encode() + b"\n")
            sync(progress)
            chunks.append(chunk)
    return chunks


def _chunks_of_rows(key: CacheKey, first_row: int, num_rows: int) -> Iterator[range]:
    """Yield the rows of the images of each chunk."""
    _, side = stored_form(key.image_size_px, key.image_format)
    bytes_an_image = 3 * side**2
    chunk_size = min(_CHUNK_IMAGES, max(1, _CHUNK_BYTES // bytes_an_image))
    for start in range(first_row, num_rows, chunk_size):
        yield range(start, min(start + chunk_size, num_rows))


def _finish(
    part: Path,
    key: CacheKey,
    fingerprint: str,
    identity: str,
    listed: Annotations,
    images: list[ImageOutcome],
    bad: BadEntries,
) -> None:
    """Write everything but the images."""
    left_out = {name: image.left_out for name, image in zip(listed.file_names, images, strict=True) if image.left_out}
    kept = [image for image in images if not image.left_out]
    is_kept = np.array([not image.left_out for image in images])

    repairs = Counter(listed.repairs) + Counter(image.repair for image in kept if image.repair)
    if left_out:
        repairs["images that cannot be used left out"] = len(left_out)

    arrays = Arrays(
        annotations=listed.take(np.flatnonzero(is_kept)),
        starts=np.cumsum([0, *(image.num_bytes for image in kept)]),
        crc32=np.array([image.crc32 for image in kept], dtype=np.int64),
        listed_ids=listed.image_ids,
    )
    arrays.write(part / "arrays.npz")

    # Beside the cache it would be lost to the next set of the same annotations, whose pictures may all be good.
    (part / BAD_LIST).unlink(missing_ok=True)
    if bad.counts:
        bad.list_file.rename(part / BAD_LIST)

    # Last, and with the checksum of the arrays: a cache is whole where this file is there and agrees.
    image_format, side = stored_form(key.image_size_px, key.image_format)
    meta = Meta(
        version=VERSION,
        fingerprint=fingerprint,
        images=identity,
        annotation_file=str(key.annotation_file),
        image_dir=str(key.image_dir),
        image_size_px=side,
        image_format=image_format,
        max_images=key.max_images,
        num_images=len(kept),
        num_bytes=int(arrays.starts[-1]),
        repairs=repairs,
        left_out=left_out,
        bad=bad.counts,
        arrays_crc32=checksum(part / "arrays.npz"),
    )
    with (part / "cache.json").open("w", encoding="utf-8") as text:
        text.write(meta.model_dump_json(indent=1))
        sync(text)
    sync_folder(part)
