"""The pictures that a person names, and the name that each has among the results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from foundation import InputError, short_path

_KEPT_ENDINGS = (".jpg", ".jpeg", ".png")
"""Endings that a picture keeps; all others become PNG."""


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture to look at.

    Attributes:
        path: its file.
        image_id: number that it has among the results.
        result_name: name of the file that shows what was found.
    """

    path: Path
    image_id: int
    result_name: str


def find_pictures(places: Sequence[Path]) -> list[PictureFile]:
    """Return the pictures that files and folders stand for, in the order of the places, a folder's by name.

    Of a folder all files are taken whose ending is a picture's, without those of folders below it; a file that is named
    is taken whatever it is called. Names that are numbers, as COCO's, give the pictures their numbers.

    Raises:
        InputError: a place that is not there, or a folder without a picture.
    """
    paths = list(dict.fromkeys(path for place in places for path in _pictures_of(place)))
    numbers = [int(path.stem) if path.stem.isdecimal() else -1 for path in paths]
    if min(numbers) < 0 or len(set(numbers)) < len(numbers):
        numbers = list(range(1, len(paths) + 1))

    taken: set[str] = set()
    pictures = []
    for path, number in zip(paths, numbers, strict=True):
        name = _free_name(path, taken)
        taken.add(name.lower())
        pictures.append(PictureFile(path, number, name))
    return pictures


def _pictures_of(place: Path) -> list[Path]:
    if not place.is_dir():
        if not place.exists():
            raise InputError(f"images={short_path(place)}: there is no such file or folder")
        return [place]

    endings = Image.registered_extensions()
    try:
        files = sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"images={short_path(place)}: cannot be read: {error.strerror}") from None
    pictures = [path for path in files if path.suffix.lower() in endings]
    if not pictures:
        raise InputError(f"images={short_path(place)}: no file in this folder has the ending of a picture, as .jpg")
    return pictures


def _free_name(path: Path, taken: set[str]) -> str:
    """Return a name that no picture before has: those of several folders may be called the same."""
    ending = path.suffix if path.suffix.lower() in _KEPT_ENDINGS else ".png"
    name, number = f"{path.stem}{ending}", 2
    while name.lower() in taken:
        name, number = f"{path.stem}-{number}{ending}", number + 1
    return name
