"""Protocol buffers, and the numbers of variable length that they and LevelDB's tables are made of."""

from typing import NamedTuple

_NUM_FIXED_BYTES = {1: 8, 5: 4}
"""The bytes of a number of fixed length, by its wire type."""
_VARINT, _BYTES = 0, 2


class Message(NamedTuple):
    """The fields of a protocol buffer, each with all its values in the order of the file.

    Attributes:
        numbers: the integers by field number.
        parts: the bytes by field number: text, or messages.
    """

    numbers: dict[int, list[int]]
    parts: dict[int, list[bytes]]

    def number(self, field: int) -> int:
        """Return the integer of a field, 0 where it is left out."""
        return self.numbers.get(field, [0])[-1]

    def part(self, field: int) -> bytes:
        """Return the bytes of a field, none where it is left out."""
        return self.parts.get(field, [b""])[-1]


def read_message(content: bytes) -> Message:
    """Return the fields of a protocol buffer.

    Raises:
        ValueError: it is none.
    """
    message = Message({}, {})
    at = 0
    while at < len(content):
        tag, at = read_varint(content, at)
        field, wire_type = tag >> 3, tag & 7

        if wire_type == _BYTES:
            size, at = read_varint(content, at)
            message.parts.setdefault(field, []).append(take(content, at, size))
            at += size
        elif wire_type == _VARINT:
            value, at = read_varint(content, at)
            message.numbers.setdefault(field, []).append(value)
        elif wire_type in _NUM_FIXED_BYTES:
            size = _NUM_FIXED_BYTES[wire_type]
            message.numbers.setdefault(field, []).append(int.from_bytes(take(content, at, size), "little"))
            at += size
        else:
            raise ValueError(f"a field of the unknown wire type {wire_type}")
    return message


def read_varint(content: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place, seven bits a byte, and the place behind it.

    Raises:
        ValueError: it does not end.
    """
    value = 0
    for i, byte in enumerate(content[at : at + 10]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise ValueError("a number that does not end")


def take(content: bytes, at: int, size: int) -> bytes:
    """Return some bytes from a place on.

    Raises:
        ValueError: there are fewer.
    """
    part = content[at : at + size]
    if len(part) < size:
        raise ValueError(f"{size} bytes expected, {len(part)} are left")
    return part
