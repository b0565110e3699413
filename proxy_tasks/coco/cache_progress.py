"""The progress of a cache that is being made: the images that are on disk, from which a stopped making resumes."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from foundation import InputError
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.cache_files import CacheKey
from proxy_tasks.coco.sources import FileState, content_hash, file_state


class ImageOutcome(BaseModel):
    """The outcome of one image; one that is left out takes no bytes and has a reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: FileState
    sha256: str
    num_bytes: int = 0
    crc32: int = 0
    repair: str = ""
    left_out: str = ""


class Chunk(BaseModel):
    """One line of `progress.jsonl`: the next images of the list, their folder, and the number of bytes they take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_dir: str
    num_bytes: int
    images: list[ImageOutcome]


def resume(part: Path, key: CacheKey, listed: Annotations) -> list[Chunk]:
    """Return the chunks that are on disk and still valid, and cut off what comes after them."""
    images, progress = part / "images", part / "progress.jsonl"
    for path in (images, progress):
        path.touch()

    # The first line that does not hold ends it: pixels behind it would stand at the wrong offsets.
    chunks: list[Chunk] = []
    num_images_bytes = num_progress_bytes = num_images = 0
    with progress.open("rb") as lines:
        for line in lines:
            try:
                chunk = Chunk.model_validate_json(line)
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


def _still_holds(chunk: Chunk, key: CacheKey, listed: Annotations, first_row: int) -> bool:
    """Return whether the files of a chunk are what they were: some may have been replaced, or all be another set's."""
    is_there_still = chunk.image_dir == os.path.realpath(key.image_dir)
    names = listed.file_names[first_row : first_row + len(chunk.images)]
    return len(names) == len(chunk.images) and all(
        _is_unchanged(key.image_dir / name, image, may_trust_state=is_there_still)
        for name, image in zip(names, chunk.images, strict=True)
    )


def _is_unchanged(file: Path, image: ImageOutcome, *, may_trust_state: bool) -> bool:
    """Return whether a file holds what it held; its state tells where it is the same file, else its content does."""
    try:
        if may_trust_state and file_state(file) == image.state:
            return True
        return content_hash(file).hex() == image.sha256
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
