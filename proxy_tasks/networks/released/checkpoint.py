"""TensorFlow's checkpoints, read without TensorFlow: an index of the variables, and files with their values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation import InputError
from proxy_tasks.networks.released.crc32c import masked_crc32c
from proxy_tasks.networks.released.table import read_table
from proxy_tasks.networks.released.wire import read_message, read_varint, take

_MAX_INDEX_BYTES = 2**28
"""Many times what an index takes, which is some hundred bytes for each variable."""
_TEXT = 7
_DTYPES: dict[int, np.dtype[Any]] = {
    number: np.dtype(name) for number, name in ((1, "<f4"), (2, "<f8"), (3, "<i4"), (9, "<i8"), (19, "<f2"))
}
"""NumPy's type for the number of each of TensorFlow's that is read."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A variable as the index describes it.

    Attributes:
        dtype: number of TensorFlow's type.
        shape: of the values.
        shard: number of the file that holds them.
        place: of the first byte in it.
        size: in bytes.
        checksum: of these bytes.
        is_partitioned: whether the values stand elsewhere, in slices.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int
    place: int
    size: int
    checksum: int
    is_partitioned: bool


class Checkpoint(Mapping[str, NDArray[np.generic]]):
    """The variables of a checkpoint by name; each is read, and its checksum verified, when it is asked for.

    Text, which checkpoints hold beside their variables, is none of them; `text` reads it.

    Args:
        prefix: path of the checkpoint, without the `.index` that the file of its index has at the end.

    Raises:
        InputError: the index is missing, damaged or of another kind.

    Source: TensorFlow's tensor_bundle.proto and tensor_bundle.h.
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        index = prefix.with_name(prefix.name + ".index")
        try:
            if index.stat().st_size > _MAX_INDEX_BYTES:
                raise InputError(f"{index} is damaged, or no index of a TensorFlow checkpoint: one is never so large")
            content = index.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {index}: {error.strerror}") from None

        try:
            table = dict(read_table(content))
            header = read_message(table.pop(b""))
            # Slices of partitioned variables have keys that are no text.
            entries = {key.decode(): _entry(value) for key, value in table.items() if not key.startswith(b"\0")}
        except (ValueError, LookupError):
            raise InputError(f"{index} is damaged, or no index of a TensorFlow checkpoint") from None
        if header.number(2):
            raise InputError(f"{index} was written on a big-endian machine, which is not read")
        self._num_shards = header.number(1)
        self._entries = {name: entry for name, entry in entries.items() if entry.dtype != _TEXT}
        self._texts = {name: entry for name, entry in entries.items() if entry.dtype == _TEXT}

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a variable, for which its values need not be read.

        Raises:
            KeyError: there is no such variable.
        """
        return self._entries[name].shape

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        """Return the values of a variable, which cannot be written to.

        Raises:
            KeyError: there is no such variable.
            InputError: its bytes are missing or damaged, or of a kind that is not read; the message names it.
        """
        entry = self._entries[name]
        if entry.is_partitioned:
            raise InputError(f"{self.prefix}: the variable {name} is partitioned into slices, which are not read")
        if entry.dtype not in _DTYPES:
            raise InputError(f"{self.prefix}: the variable {name} is of TensorFlow's type {entry.dtype}, not read here")

        dtype: np.dtype[np.generic] = _DTYPES[entry.dtype]
        if entry.size != prod(entry.shape) * dtype.itemsize:
            raise InputError(f"{self.prefix}: the variable {name} of {entry.shape} has {entry.size} bytes")
        content = self._read(name, entry)
        self._verify(name, entry, content)
        return np.frombuffer(content, dtype).reshape(entry.shape)

    def has_text(self, name: str) -> bool:
        """Return whether there is a text of that name."""
        return name in self._texts

    def text(self, name: str) -> bytes:
        """Return the bytes of a single text.

        Raises:
            KeyError: there is none of that name.
            InputError: it is missing in the file, or damaged.
        """
        entry = self._texts[name]
        content = self._read(name, entry)
        try:
            size, at = read_varint(content, 0)
            text = take(content, at + 4, size)
        except ValueError:
            size, at, text = 0, 0, b""

        # The length counts as four bytes, and behind it stands a checksum of its own.
        self._verify(name, entry, (size & 0xFFFFFFFF).to_bytes(4, "little") + content[at:])
        return text

    def _read(self, name: str, entry: _Entry) -> bytes:
        """Return the bytes of a variable's values."""
        shard = self._shard(entry)
        try:
            with shard.open("rb") as file:
                file_size = file.seek(0, 2)
                if file_size < entry.place + entry.size:
                    raise InputError(
                        f"{shard} is cut short: it ends after {file_size:,} bytes, before or within the variable "
                        f"{name}; fetch the file again"
                    )
                file.seek(entry.place)
                content = file.read(entry.size)
        except OSError as error:
            raise InputError(f"cannot read {shard}, which holds the variable {name}: {error.strerror}") from None
        return content

    def _verify(self, name: str, entry: _Entry, content: bytes) -> None:
        if masked_crc32c(content) != entry.checksum:
            raise InputError(
                f"{self._shard(entry)} is damaged: the checksum of the variable {name} differs; fetch the file again"
            )

    def _shard(self, entry: _Entry) -> Path:
        return self.prefix.with_name(f"{self.prefix.name}.data-{entry.shard:05d}-of-{self._num_shards:05d}")


def _entry(value: bytes) -> _Entry:
    """Return what the index says of a variable, a BundleEntryProto."""
    message = read_message(value)
    dims = read_message(message.part(2)).parts.get(2, [])
    return _Entry(
        dtype=message.number(1),
        shape=tuple(read_message(dim).number(1) for dim in dims),
        shard=message.number(3),
        place=message.number(4),
        size=message.number(5),
        checksum=message.number(6),
        is_partitioned=7 in message.parts,
    )
