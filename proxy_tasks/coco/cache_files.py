"""The files of a cache and the name of its folder.

`images` holds the pixels (see `image_store`), `arrays.npz` the annotations and where each image lies, `cache.json` what
the cache was made from, `bad.txt` what was bad in that, if anything was.
"""

import hashlib
import json
import os
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from foundation import InputError
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.bad_entries import MAX_BAD_SHARE, Count, Kind
from proxy_tasks.coco.image_store import Format
from proxy_tasks.coco.native_images import Native

VERSION = 5
"""Version of these files and of how pixels are made; a cache of another version lies beside, unused."""
BAD_LIST = "bad.txt"
_FINGERPRINT_VERSION = 4
"""Part of every fingerprint; it never changes, as records of held-out images are found by their fingerprint."""


@dataclass(frozen=True, slots=True)
class SplitContent:
    """The content of a split, wherever it lies; each 16 hex digits.

    Attributes:
        annotations: stands for the annotation file and the choice of images; see `CacheKey.fingerprint`.
        images: stands for the image files; see `Sources.identity`.
    """

    annotations: str
    images: str


@dataclass(frozen=True, slots=True)
class CacheKey:
    """The key of a cache: what it is made of, and the folder that it lies in.

    Attributes:
        annotation_file: COCO JSON.
        image_dir: folder that its file names are below.
        image_size_px: side of the squares that images are read as.
        image_format: format of the cached images; one cache of native size serves every `image_size_px`.
        max_images: use only this many of the images, chosen at random but always the same; None for all.
        cache_dir: folder of all caches.
        max_bad_share: largest share of bad entries; the name does not depend on it, as the content does not.
    """

    annotation_file: Path
    image_dir: Path
    image_size_px: int
    image_format: Format | Native
    max_images: int | None
    cache_dir: Path
    max_bad_share: float = MAX_BAD_SHARE

    def fingerprint(self) -> str:
        """Return 16 hex digits that stand for the content of the annotation file and the choice of images.

        Raises:
            InputError: the annotations cannot be read.
        """
        try:
            with self.annotation_file.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"cannot read {self.annotation_file}: {error.strerror}") from None

        return _short_hash(_FINGERPRINT_VERSION, content, self.max_images)

    def path(self, content: SplitContent) -> Path:
        """Return the folder of the cache of this content, which does not depend on where the data lies."""
        form = f"{self._form}-{_short_hash(VERSION, content.annotations, content.images)}"

        # The image folder may have had another name when the cache was made.
        there = sorted(self.cache_dir.glob(f"*-{form}"))
        return there[0] if there else self.cache_dir / f"{self.image_dir.name}-{form}"

    def unfinished_path(self, fingerprint: str) -> Path:
        """Return the folder that a cache of these annotations is made in; its content is known once it is whole."""
        return self.cache_dir / f"{self.image_dir.name}-{self._form}-{fingerprint}.part"

    def source_record(self, fingerprint: str) -> Path:
        """Return the path of the source record of the image folder, whichever way the folder is spelled."""
        place = hashlib.sha256(os.fsencode(os.path.realpath(self.image_dir))).hexdigest()[:16]
        return self.cache_dir / f"source-{fingerprint}-{place}.npz"

    @property
    def _form(self) -> str:
        name, side = stored_form(self.image_size_px, self.image_format)
        return f"{side}px-{name}"


def stored_form(image_size_px: int, image_format: Format | Native) -> tuple[Format | Literal["native"], int]:
    """Return the name of a cache's format, and the side in pixels that decides what is stored."""
    if isinstance(image_format, Native):
        return "native", image_format.longest_side_px
    return image_format, image_size_px


def _short_hash(*parts: str | int | None) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


class Meta(BaseModel):
    """`cache.json`: what a cache was made from, and what was repaired.

    `image_size_px` is the side of the squares; of native images it is their bound.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    fingerprint: str
    images: str
    annotation_file: str
    image_dir: str
    image_size_px: int
    image_format: Format | Literal["native"]
    max_images: int | None
    num_images: int
    num_bytes: int
    repairs: dict[str, int]
    left_out: dict[str, str]
    bad: dict[Kind, Count]
    arrays_crc32: int


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """`arrays.npz`: the annotations, and where each image lies; N images.

    Attributes:
        annotations: annotations of these images.
        starts: (N + 1,) where each image begins in `images`, in bytes, and where the last ends.
        crc32: (N,) checksum of each image's bytes.
        listed_ids: ids of all images that are listed, those left out included, ascending.
    """

    annotations: Annotations
    starts: NDArray[np.int64]
    crc32: NDArray[np.int64]
    listed_ids: NDArray[np.int64]

    def write(self, path: Path) -> None:
        """Write the file and wait until it is on the disk."""
        own = {name: getattr(self, name) for name in _OWN_NAMES}
        annotations = {name: np.asarray(getattr(self.annotations, name)) for name in _ANNOTATION_NAMES}
        with path.open("wb") as file:
            np.savez(file, **own, **annotations)  # type: ignore[arg-type]  # numpy's own option is none of these names
            sync(file)


_OWN_NAMES = ("starts", "crc32", "listed_ids")
_ANNOTATION_NAMES = tuple(field.name for field in fields(Annotations) if field.name != "repairs")
_TUPLES = ("file_names", "category_ids", "category_names")


def read_arrays(path: Path, repairs: dict[str, int]) -> Arrays:
    """Read an `arrays.npz`; `repairs` stand in `cache.json`."""
    with np.load(path) as arrays:
        values: dict[str, Any] = {name: arrays[name] for name in (*_OWN_NAMES, *_ANNOTATION_NAMES)}

    values |= {name: tuple(values[name].tolist()) for name in _TUPLES}
    annotations = Annotations(**{name: values[name] for name in _ANNOTATION_NAMES}, repairs=repairs)
    return Arrays(annotations=annotations, **{name: values[name] for name in _OWN_NAMES})


def checksum(path: Path) -> int:
    """Return the CRC-32 of a file."""
    return zlib.crc32(path.read_bytes())


def sync(file: IO[Any]) -> None:
    """Wait until what was written to a file is on the disk."""
    file.flush()
    os.fsync(file.fileno())
