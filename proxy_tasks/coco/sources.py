"""The source record: what the image files of a split held when they were last read, and what their files looked like.

There is one for each folder that the images of a split were found in, beside the caches. A later start compares sizes
and times alone, and reads again only what they do not vouch for: the pictures of COCO are 18 GB.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foundation import InputError, write_whole
from proxy_tasks.base import Report
from proxy_tasks.coco.image_store import num_cores

FileState: TypeAlias = tuple[int, int, int]
"""Size in bytes, and the times in ns at which a file's content and its entry changed last.

The content's time can be set at will, and unpacking an archive does so; the entry's cannot.
"""
NO_FILE: FileState = (-1, -1, -1)
NO_CONTENT = bytes(hashlib.sha256().digest_size)
"""Stands for the content of a file that is not there."""
_BATCH = 1024
"""Files that are read between two reports."""
_UNWRITTEN: dict[Path, "Sources"] = {}
"""Records that could not be written, as those of shared caches by others than their owner: this process has them."""


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """The image files of a split; N images, in the order of their ids.

    Attributes:
        file_names: (N,) below the image folder.
        states: (N, 3) state of each file when it was read.
        sha256: (N, 32) hash of what it held.
    """

    file_names: tuple[str, ...]
    states: NDArray[np.int64]
    sha256: NDArray[np.uint8]

    @classmethod
    def unread(cls, file_names: tuple[str, ...]) -> Self:
        """Return sources of which nothing has been read yet."""
        num_images = len(file_names)
        states = np.tile(np.array(NO_FILE, dtype=np.int64), (num_images, 1))
        return cls(file_names, states, np.zeros((num_images, len(NO_CONTENT)), dtype=np.uint8))

    @property
    def identity(self) -> str:
        """16 hex digits that stand for the content of all files, wherever they lie."""
        return hashlib.sha256(self.sha256.tobytes()).hexdigest()[:16]


def file_state(file: Path | str) -> FileState:
    """Return the state of a file, `NO_FILE` if there is none.

    Raises:
        OSError: nobody can tell.
    """
    try:
        found = os.stat(file)
    except (FileNotFoundError, NotADirectoryError):
        return NO_FILE
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def current_sources(record: Path, fingerprint: str, image_dir: Path, report: Report) -> Sources | None:
    """Return what the image files of a folder hold now; read those that are new or changed, and put them on record.

    A file that is gone counts with what it held: once there is a cache, the images may be deleted. A record that cannot
    be written is kept by this process alone: caches that somebody else has made are as good without it.

    Args:
        record: path of the folder's record.
        fingerprint: of the annotations that list the images; see `CacheKey`.
        image_dir: the folder.
        report: called while files are read, and where the record cannot be written.

    Returns:
        None where no record, of this folder or of another, says which files are listed.

    Raises:
        InputError: a file cannot be read.
    """
    known = read_sources(record)
    if known is None:
        # The same images may have been read in another folder; whether this one holds the same its files must say.
        others = (read_sources(path) for path in sorted(record.parent.glob(f"source-{fingerprint}-*.npz")))
        listed = next((other.file_names for other in others if other is not None), None)
        if listed is None:
            return None
        known = Sources.unread(listed)

    now = _compared(known, image_dir, report)
    if now is not known or not record.exists():
        try:
            write_sources(record, now)
        except InputError as error:
            _UNWRITTEN[record] = now
            report(f"image files will be compared again at the next start: {error}", 1, 1)
    return now


def _compared(known: Sources, image_dir: Path, report: Report) -> Sources:
    """Return the sources as they are now: `known` itself where no file differs in its state."""
    files = [f"{image_dir}/{name}" for name in known.file_names]
    try:
        states = np.array([file_state(file) for file in files], dtype=np.int64).reshape(-1, 3)
    except OSError as error:
        raise _unreadable(error) from None

    is_there = states[:, 0] != NO_FILE[0]
    rows = np.flatnonzero(is_there & (states != known.states).any(axis=1))
    if not len(rows):
        return known

    new_states, sha256 = known.states.copy(), known.sha256.copy()
    new_states[rows] = states[rows]
    for row, content in _hashes(files, rows, report):
        sha256[row] = np.frombuffer(content, dtype=np.uint8)
    return replace(known, states=new_states, sha256=sha256)


def _hashes(files: list[str], rows: NDArray[np.int64], report: Report) -> Iterator[tuple[int, bytes]]:
    """Yield the rows with the hash of what their files hold."""
    what = "comparing image files with those on record"
    report(what, 0, len(rows))
    with ThreadPoolExecutor(num_cores(), "hash") as pool:
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH].tolist()
            try:
                yield from zip(batch, pool.map(lambda row: content_hash(files[row]), batch), strict=True)
            except OSError as error:
                raise _unreadable(error) from None
            report(what, start + len(batch), len(rows))


def content_hash(file: Path | str) -> bytes:
    """Return the SHA-256 of a file, `NO_CONTENT` if there is none."""
    try:
        with open(file, "rb") as content:
            return hashlib.file_digest(content, "sha256").digest()
    except (FileNotFoundError, NotADirectoryError):
        return NO_CONTENT


def read_sources(record: Path) -> Sources | None:
    """Return what a record says; None where there is none, or none that is whole."""
    if record in _UNWRITTEN:
        return _UNWRITTEN[record]
    try:
        with record.open("rb") as file, np.load(file) as arrays:
            names, states, sha256 = arrays["file_names"], arrays["states"], arrays["sha256"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        # It is made again, from the files themselves.
        return None
    return Sources(tuple(names.tolist()), states, sha256)


def write_sources(record: Path, sources: Sources) -> None:
    """Write a record, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    buffer = io.BytesIO()
    np.savez(buffer, file_names=np.asarray(sources.file_names), states=sources.states, sha256=sources.sha256)
    write_whole(record, buffer.getbuffer())
    _UNWRITTEN.pop(record, None)


def _unreadable(error: OSError) -> InputError:
    return InputError(f"cannot read {error.filename}: {error.strerror}")
