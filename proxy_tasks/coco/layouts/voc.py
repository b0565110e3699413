"""Pascal VOC: an XML file for each picture, lists of names for each split.

Source: the development kit of VOC 2012, sections 2 and 3, and the layout that CVAT and Datumaro write.
"""

import hashlib
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from foundation import InputError
from proxy_tasks.base import Report
from proxy_tasks.coco.image_names import SUFFIXES, name_below
from proxy_tasks.coco.image_sizes import stored_size
from proxy_tasks.coco.layouts.converted import VERSION, Box, Picture, coco_document, written
from proxy_tasks.coco.layouts.layout import Layout, Place

ANNOTATIONS = "Annotations"
_IMAGES = ("JPEGImages", "images")
"""Folders of the pictures; Label Studio has the second."""
_LISTS = "ImageSets/Main"
_TRAIN_AND_VAL = (("train", "val"), ("trainval", "test"), ("default", "val"))
"""Lists of the training and of the validation set, the first that are there; CVAT calls its only one `default`."""
_PRESENCE = re.compile(r"\s+-?[01]$")
"""A second column, which the lists of single classes have."""


class _Object(NamedTuple):
    name: str
    xywh: tuple[float, float, float, float]
    is_difficult: bool


class _Described(NamedTuple):
    """A picture as its XML describes it."""

    xml: Path
    name: str
    size_px: tuple[int, int]
    objects: tuple[_Object, ...]


def read_voc(annotations: Path, converted_dir: Path, report: Report) -> Layout:
    """Convert a data set in Pascal VOC's format.

    Corners count pixels from 1 and belong to the box; an object that is difficult becomes a crowd, which is neither
    trained on nor counted against detections. Classes are those of the training set, by name.

    Args:
        annotations: the folder of XML files; pictures and lists lie beside it.
        converted_dir: folder for the converted annotations.
        report: called while files are read.

    Raises:
        InputError: a file is missing, cannot be parsed or lacks what is needed, or the validation set has a class that
            the training set has not.
    """
    root = annotations.parent
    images = next((name for name in _IMAGES if (root / name).is_dir()), None)
    if images is None:
        raise InputError(f"{root} has {annotations.name}/, and no pictures in {_IMAGES[0]}/: put them there")
    image_dir = root / images

    train_list, val_list = _lists(root / _LISTS)
    train = _described(annotations, image_dir, train_list, report)
    names = sorted({one.name for picture in train for one in picture.objects})
    if not names:
        raise InputError(f"{annotations}: none of the {len(train)} files to train on has an object")

    def place_of(split: str, pictures: Sequence[_Described]) -> Place:
        content = coco_document([_converted(picture, names) for picture in pictures], dict(enumerate(names)))
        digest = hashlib.sha256(b"%d" % VERSION + content).hexdigest()
        return Place(str(written(converted_dir, f"{root.name}-{split}", digest, lambda: content)), images)

    val = Place(str(val_list.relative_to(root)), images)
    if val_list.is_file():
        val_pictures = _described(annotations, image_dir, val_list, report)
        _check_classes(val_pictures, names)
        val = place_of("val", val_pictures)
    return Layout("Pascal VOC's layout", place_of("train", train), val)


def _lists(folder: Path) -> tuple[Path | None, Path]:
    """Return the lists of the training and of the validation set.

    No list of the training set means all files; that of the validation set need not be there.
    """
    for train, val in _TRAIN_AND_VAL:
        if (folder / f"{train}.txt").is_file():
            return folder / f"{train}.txt", folder / f"{val}.txt"
    return None, folder / "val.txt"


def _described(annotations: Path, image_dir: Path, names: Path | None, report: Report) -> list[_Described]:
    """Return the pictures of a list."""
    files = _all_files(annotations) if names is None else _listed(annotations, image_dir, names)
    what = f"reading {annotations.name}" if names is None else f"reading {annotations.name} of {names.stem}"
    report(what, 0, len(files))
    pictures = [_read(file, image_dir, file.parent.relative_to(annotations)) for file in files]
    report(what, len(files), len(files))
    return sorted(pictures, key=lambda picture: picture.name)


def _all_files(annotations: Path) -> list[Path]:
    """Return all XML files but hidden ones, which macOS leaves in archives and Jupyter in folders."""
    files = sorted(annotations.rglob("*.xml"))
    return [file for file in files if not any(part.startswith(".") for part in file.relative_to(annotations).parts)]


def _listed(annotations: Path, image_dir: Path, names: Path) -> list[Path]:
    """Return the files that a list names, each once; where only the picture is there, it has no objects.

    Raises:
        InputError: neither of the two is there, or the list is empty.
    """
    try:
        lines = names.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {names}: {error}") from None

    files: dict[Path, None] = {}
    for number, line in enumerate(lines, start=1):
        whole = line.strip().strip('"')
        if not whole:
            continue

        # A name may end as a second column does.
        name = _PRESENCE.sub("", whole).strip('"')
        file = _file_of(annotations, whole) or _file_of(annotations, name) or _bare(annotations, image_dir, name)
        if file is None:
            raise InputError(f"{names}, line {number}: there is no {name}.xml in {annotations}")
        files[file] = None
    if not files:
        raise InputError(f"{names} lists no pictures")
    return list(files)


def _file_of(annotations: Path, name: str) -> Path | None:
    """Return the XML file of a name on a list; None where there is none in the folder."""
    below = name_below(annotations, f"{name}.xml")
    return annotations / below if below is not None and (annotations / below).is_file() else None


def _bare(annotations: Path, image_dir: Path, name: str) -> Path | None:
    """Return where the XML file of a picture would be; None where there is no such picture.

    Datumaro writes none for a picture without objects.
    """
    below = name_below(annotations, f"{name}.xml")
    if below is None:
        return None
    file = annotations / below
    picture = _picture_name(image_dir, file.parent.relative_to(annotations), file.stem, "")
    return file if (image_dir / picture).is_file() else None


def _read(file: Path, image_dir: Path, below: Path) -> _Described:
    """Read one XML file; `below` is the folder that its picture lies in, as it does itself."""
    try:
        tree = ET.fromstring(file.read_bytes())
    except FileNotFoundError:
        name = _picture_name(image_dir, below, file.stem, "")
        return _Described(file, name, stored_size(image_dir / name), ())
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    # Of an encoding that the parser does not know the other two are raised.
    except (ET.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{file}: no XML that can be parsed: {error}") from None
    if tree.tag != "annotation":
        raise InputError(f"{file}: its first element is <{tree.tag}>, that of Pascal VOC is <annotation>")

    name = _picture_name(image_dir, below, file.stem, (tree.findtext("filename") or "").strip())
    width, height = (_number(file, tree.find("size"), side, "size") or 0 for side in ("width", "height"))
    # Some tools leave the size out, or at 0.
    size_px = (round(height), round(width)) if min(width, height) >= 1 else stored_size(image_dir / name)
    objects = tuple(_object(file, one) for one in tree.iter("object"))
    return _Described(file, name, size_px, objects)


def _picture_name(image_dir: Path, below: Path, stem: str, named: str) -> str:
    """Return the name of a picture; some tools leave in the XML another suffix, or none, or a whole path."""
    last = re.split(r"[/\\]", named)[-1]
    candidates = [last] if last else []
    candidates += [f"{stem}{ending}" for suffix in SUFFIXES for ending in (suffix, suffix.upper())]
    there = (name for name in candidates if (image_dir / below / name).is_file())
    return str(below / next(there, candidates[0]))


def _object(file: Path, element: ET.Element) -> _Object:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise InputError(f"{file}: an object has no name")

    box = element.find("bndbox")
    corners = [_number(file, box, side, f"the box of {name!r}") for side in ("xmin", "ymin", "xmax", "ymax")]
    if None in corners:
        raise InputError(f"{file}: an object {name!r} has no box: needed are bndbox and in it xmin, ymin, xmax, ymax")

    # Pixels count from 1, and the last belongs to the box; tools that count from 0 leave a 0 at the edge.
    left, top, right, bottom = (corner or 0.0 for corner in corners)
    left, top = max(left - 1, min(left, 0.0)), max(top - 1, min(top, 0.0))
    is_difficult = (element.findtext("difficult") or "").strip() in ("1", "true", "True")
    return _Object(name, (left, top, right - left, bottom - top), is_difficult)


def _number(file: Path, parent: ET.Element | None, name: str, where: str) -> float | None:
    """Return the number that an element holds; None where it is missing or empty.

    Raises:
        InputError: it holds something else.
    """
    text = None if parent is None else parent.findtext(name)
    if text is None or not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{file}: {name} of {where} is {text.strip()!r}, needed is a number")
    return number


def _converted(picture: _Described, names: Sequence[str]) -> Picture:
    index_of: Mapping[str, int] = {name: index for index, name in enumerate(names)}
    boxes = [Box(index_of[one.name], one.xywh, is_crowd=one.is_difficult) for one in picture.objects]
    return Picture(picture.name, picture.size_px, boxes)


def _check_classes(val: Sequence[_Described], names: Sequence[str]) -> None:
    """Check that the validation set has no class of its own.

    Raises:
        InputError: it has; the message names the file.
    """
    known = set(names)
    for picture in val:
        for one in picture.objects:
            if one.name not in known:
                raise InputError(
                    f"{picture.xml}: class {one.name!r} of the validation set is none of the training set's: "
                    f"{', '.join(names)}"
                )
