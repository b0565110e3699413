"""Write checkpoints in TensorFlow's format, for tests of networks that are too large to be stored."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proxy_tasks.networks.released.crc32c import masked_crc32c

_DTYPES = {"float32": 1, "int64": 9, "bytes": 7}


def write_checkpoint(prefix: Path, variables: Mapping[str, NDArray[np.generic] | bytes]) -> None:
    """Write variables as TensorFlow does, in one shard; bytes are written as the string tensor that holds them."""
    place, entries = 0, {"": _field(1, 1)}
    with prefix.with_name(prefix.name + ".data-00000-of-00001").open("wb") as file:
        for name, value in variables.items():
            content = _text(value) if isinstance(value, bytes) else value.tobytes()
            shape = () if isinstance(value, bytes) else value.shape
            dtype = _DTYPES["bytes" if isinstance(value, bytes) else value.dtype.name]
            entries[name] = _entry(dtype, shape, place, content, value if isinstance(value, bytes) else None)
            file.write(content)
            place += len(content)

    rows = [(name.encode(), entry) for name, entry in entries.items()]
    prefix.with_name(prefix.name + ".index").write_bytes(_table(sorted(rows)))


def object_graph(program_names: Mapping[str, str]) -> bytes:
    """Return the graph that TensorFlow 2 writes beside variables: what each was called in the program."""
    nodes = []
    for name, program_name in program_names.items():
        tensor = _field(1, b"VARIABLE_VALUE") + _field(2, program_name.encode()) + _field(3, name.encode())
        nodes.append(_field(1, _field(2, tensor)))
    return b"".join(nodes)


def _entry(dtype: int, shape: Sequence[int], place: int, content: bytes, text: bytes | None) -> bytes:
    dims = b"".join(_field(2, _field(1, size)) for size in shape)
    summed = content if text is None else len(text).to_bytes(4, "little") + _length_checksum(text) + text
    checksum = _varint(6 << 3 | 5) + masked_crc32c(summed).to_bytes(4, "little")
    return _field(1, dtype) + _field(2, dims) + _field(4, place) + _field(5, len(content)) + checksum


def _text(value: bytes) -> bytes:
    """Return a string tensor of one element: its length, the checksum of that, and the bytes."""
    return _varint(len(value)) + _length_checksum(value) + value


def _length_checksum(text: bytes) -> bytes:
    return masked_crc32c(len(text).to_bytes(4, "little")).to_bytes(4, "little")


def _table(rows: Sequence[tuple[bytes, bytes]]) -> bytes:
    blocks = [_block(rows), _block([])]
    handles, content = [], b""
    for block in blocks:
        handles.append(_varint(len(content)) + _varint(len(block) - 5))
        content += block
    index = _block([(rows[-1][0], handles[0])])
    handles.append(_varint(len(content)) + _varint(len(index) - 5))
    footer = (handles[1] + handles[2]).ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    return content + index + footer


def _block(rows: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a block whose keys are all whole, without compression, with its checksum."""
    restarts, block = [], b""
    for key, value in rows:
        restarts.append(len(block))
        block += _varint(0) + _varint(len(key)) + _varint(len(value)) + key + value
    restarts = restarts or [0]
    block += b"".join(place.to_bytes(4, "little") for place in restarts) + len(restarts).to_bytes(4, "little") + b"\0"
    return block + masked_crc32c(block).to_bytes(4, "little")


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
