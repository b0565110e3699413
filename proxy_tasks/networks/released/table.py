"""Tables in LevelDB's format, which the index of a TensorFlow checkpoint is: sorted keys with their values.

Source: LevelDB's doc/table_format.md, and format_description.txt of Snappy.
"""

from collections.abc import Iterator

from proxy_tasks.networks.released.crc32c import masked_crc32c
from proxy_tasks.networks.released.wire import read_varint, take

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER_SIZE = 48
_UNCOMPRESSED, _SNAPPY = 0, 1
_MAX_BLOCK_SIZE = 2**26
"""Bytes of a block without compression; TensorFlow writes some hundred thousand."""


def read_table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys of a table with their values.

    Raises:
        ValueError: it is no table, or is damaged.
    """
    footer = content[-_FOOTER_SIZE:]
    if len(footer) < _FOOTER_SIZE or not footer.endswith(_MAGIC):
        raise ValueError("no table")

    # The footer's second handle is that of the block whose values are the handles of all others.
    _, behind = _read_handle(footer, 0)
    index, _ = _read_handle(footer, behind)
    for _, value in _entries(_read_block(content, *index)):
        handle, _ = _read_handle(value, 0)
        yield from _entries(_read_block(content, *handle))


def _read_handle(content: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Return a block's place and size, and the place behind the two."""
    place, at = read_varint(content, at)
    size, at = read_varint(content, at)
    return (place, size), at


def _read_block(content: bytes, place: int, size: int) -> bytes:
    """Return a block, whose compression and checksum stand behind it."""
    stored = take(content, place, size + 5)
    block, compression = stored[:size], stored[size]
    if masked_crc32c(stored[: size + 1]) != int.from_bytes(stored[size + 1 :], "little"):
        raise ValueError("the checksum of a block differs")

    if compression == _SNAPPY:
        return uncompress(block)
    if compression != _UNCOMPRESSED:
        raise ValueError(f"a block of the unknown compression {compression}")
    return block


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield a block's keys, each stored as what differs from the one before, with their values."""
    # At the end stand the places of keys that are whole, for a binary search, and how many there are.
    num_restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (num_restarts + 1)
    if end < 0:
        raise ValueError("a block that is too short")

    at, key = 0, b""
    while at < end:
        num_shared, at = read_varint(block, at)
        num_added, at = read_varint(block, at)
        value_size, at = read_varint(block, at)
        key = key[:num_shared] + take(block, at, num_added)
        at += num_added
        yield key, take(block, at, value_size)
        at += value_size


def uncompress(content: bytes) -> bytes:
    """Return what Snappy compressed: pieces as they are, and copies of what came before.

    Raises:
        ValueError: it is damaged.
    """
    size, at = read_varint(content, 0)
    if size > _MAX_BLOCK_SIZE:
        raise ValueError(f"a block of {size} bytes")

    whole = bytearray()
    while at < len(content):
        tag = content[at]
        at += 1
        if tag & 3 == 0:
            # Sizes up to 60 stand in the tag, others in one to four bytes behind it.
            num_bytes = max(0, (tag >> 2) - 59)
            length = 1 + (int.from_bytes(take(content, at, num_bytes), "little") if num_bytes else tag >> 2)
            at += num_bytes
            whole += take(content, at, length)
            at += length
        else:
            length, distance, at = _read_copy(content, tag, at)
            _copy(whole, length, distance)
    if len(whole) != size:
        raise ValueError(f"a block of {len(whole)} bytes in place of {size}")
    return bytes(whole)


def _read_copy(content: bytes, tag: int, at: int) -> tuple[int, int, int]:
    """Return how many bytes are copied, from how far back, and the place behind."""
    if tag & 3 == 1:
        return (tag >> 2 & 7) + 4, tag >> 5 << 8 | take(content, at, 1)[0], at + 1
    num_bytes = 2 if tag & 3 == 2 else 4
    return (tag >> 2) + 1, int.from_bytes(take(content, at, num_bytes), "little"), at + num_bytes


def _copy(whole: bytearray, length: int, distance: int) -> None:
    """Append bytes that stand further back; they may reach into those that are appended."""
    if not 0 < distance <= len(whole):
        raise ValueError("a copy of what is not there")
    for _ in range(length):
        whole.append(whole[-distance])
