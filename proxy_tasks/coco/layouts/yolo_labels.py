"""A label file of YOLO: a line for each object, its class and then shares of the picture's width and height."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import InputError
from proxy_tasks.coco.layouts.converted import Box

_TOLERANCE = 0.01
"""Excess over 0 to 1 that a number may have, as in Ultralytics; what leaves the picture is then repaired as any box."""
_BOX_NUMBERS = 4
_FEWEST_POLYGON_NUMBERS = 6


@dataclass(frozen=True, slots=True)
class LabelRules:
    """The rules that all label files of a data set follow.

    Attributes:
        file_name: the YAML file that says so.
        names: names of classes by their index.
        num_keypoint_numbers: numbers of key points behind each box, which are not read.
    """

    file_name: str
    names: Mapping[int, str]
    num_keypoint_numbers: int = 0

    def plain(self) -> list[Any]:
        """Return what a conversion depends on, as plain values."""
        return [sorted(self.names.items()), self.num_keypoint_numbers]


def boxes_of(label: Path, content: bytes, size_px: tuple[int, int], rules: LabelRules) -> list[Box]:
    """Return the objects of a label file; a line that is there twice counts once.

    Args:
        label: the file, which messages name.
        content: what it holds.
        size_px: height and width of the picture.
        rules: of the data set.

    Raises:
        InputError: a line cannot be used; the message names it.
    """
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{label}: no text in UTF-8") from None

    boxes: dict[Box, None] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            boxes[_box(f"{label}, line {number}", line.split(), size_px, rules)] = None
    return list(boxes)


def _box(where: str, columns: Sequence[str], size_px: tuple[int, int], rules: LabelRules) -> Box:
    """Return the object of one line."""
    numbers = [_number(where, column) for column in columns]
    index = numbers[0]
    if index not in rules.names:
        first, last = min(rules.names), max(rules.names)
        raise InputError(
            f"{where}: class {columns[0]} is none of the {len(rules.names)} in {rules.file_name}, which are {first} to "
            f"{last}"
        )

    shares = _shares(where, numbers[1:], rules)
    outside = next((share for share in shares if not -_TOLERANCE <= share <= 1 + _TOLERANCE), None)
    if outside is not None:
        raise InputError(
            f"{where}: {outside:g} is outside 0 to 1: coordinates are shares of the picture's width and height"
        )

    height, width = size_px
    if len(shares) == _BOX_NUMBERS:
        x, y, w, h = shares
        return Box(int(index), ((x - w / 2) * width, (y - h / 2) * height, w * width, h * height))

    polygon = tuple(share * (height if i % 2 else width) for i, share in enumerate(shares))
    left, top = min(polygon[::2]), min(polygon[1::2])
    return Box(int(index), (left, top, max(polygon[::2]) - left, max(polygon[1::2]) - top), polygon)


def _shares(where: str, numbers: Sequence[float], rules: LabelRules) -> Sequence[float]:
    """Return the numbers of a box or of a polygon, without those of key points."""
    if rules.num_keypoint_numbers:
        if len(numbers) == _BOX_NUMBERS + rules.num_keypoint_numbers:
            return numbers[:_BOX_NUMBERS]
        raise InputError(
            f"{where}: {len(numbers) + 1} columns, with kpt_shape of {rules.file_name} needed are "
            f"{1 + _BOX_NUMBERS + rules.num_keypoint_numbers}"
        )

    is_polygon = len(numbers) >= _FEWEST_POLYGON_NUMBERS and len(numbers) % 2 == 0
    if len(numbers) != _BOX_NUMBERS and not is_polygon:
        raise InputError(
            f"{where}: {len(numbers) + 1} columns, needed are 5 (class, centre x, centre y, width, height), or a class "
            "and x and y of three or more corners"
        )
    return numbers


def _number(where: str, column: str) -> float:
    try:
        number = float(column)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where}: {column!r} is no number")
    return number
