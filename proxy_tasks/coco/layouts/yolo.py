"""YOLO's layout: `data.yaml` names pictures and classes, a text file beside each picture holds its objects.

Source: Ultralytics' documentation of detection and segmentation data, and how its loader finds files.
"""

import hashlib
import json
import os
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from foundation import InputError
from proxy_tasks.base import Report
from proxy_tasks.coco.image_names import SUFFIXES
from proxy_tasks.coco.image_sizes import UNKNOWN_SIZE, displayed_size, sizes_of
from proxy_tasks.coco.layouts.converted import VERSION, Picture, coco_document, folder_of, written
from proxy_tasks.coco.layouts.layout import Layout, Place
from proxy_tasks.coco.layouts.yolo_labels import LabelRules, boxes_of

_NAMES = ("data.yaml", "data.yml")
CLASSES = "classes.txt"
"""The names of the classes, a line each, of exports without a YAML file; the first tools left it among the labels."""
_NO_LABELS = (CLASSES, "notes.txt")
"""Text files that tools leave among labels."""
_USUAL_FOLDERS = {
    "train/images": ("valid/images", "val/images"),
    "images/train": ("images/val", "images/valid"),
    "images": (),
}
"""Folders of the pictures to train on, and of those to validate on beside each, where no file names any."""


@dataclass(frozen=True, slots=True)
class _Config:
    """A YAML file of YOLO as it is read.

    Attributes:
        file: the file.
        rules: classes, and how many columns a line has.
        train: folders and lists of the training set.
        val: those of the validation set; None where they are not named, or not there.
        val_named: what the file names as validation set.
    """

    file: Path
    rules: LabelRules
    train: tuple[Path, ...]
    val: tuple[Path, ...] | None
    val_named: str


def yolo_files(root: Path) -> list[Path]:
    """Return the files in a folder that describe a data set.

    That is `data.yaml`, or else all YAML files that name pictures, or else `classes.txt` beside labels.
    """
    usual = [root / name for name in _NAMES if (root / name).is_file()]
    found = usual or [file for file in sorted(root.glob("*.y*ml")) if _names_pictures(file)]
    if not found and (root / CLASSES).is_file() and (root / "labels").is_dir():
        return [root / CLASSES]
    return found


def read_yolo(root: Path, file: Path, converted_dir: Path, report: Report) -> Layout:
    """Convert a data set in YOLO's format.

    Args:
        root: folder of the data set.
        file: its YAML file.
        converted_dir: folder for the converted annotations.
        report: called while labels are read and converted.

    Raises:
        InputError: the YAML file, what it names, or a label cannot be used; the message names file and line.
    """
    config = _config(root, file)
    train = _converted(config, config.train, f"{root.name}-train", converted_dir, report)
    val = Place(config.val_named or f"val of {file.name}", config.val_named or "its pictures")
    if config.val is not None:
        val = _converted(config, config.val, f"{root.name}-val", converted_dir, report)
    return Layout(f"YOLO's layout, {file.name}", train, val)


def _converted(config: _Config, sources: Sequence[Path], name: str, converted_dir: Path, report: Report) -> Place:
    """Return the place of a split, converted unless it was before."""
    images = _images_in(config.file, sources)
    labels = [_label_of(image) for image in images]
    what = f"reading labels of {name}"
    report(what, 0, len(labels))
    contents = [_content(label) for label in labels]
    report(what, len(labels), len(labels))

    # The digest stands for all that the result is made of: sizes of pictures are read from their files.
    folder = folder_of(images)
    names = [str(image.relative_to(folder)) for image in images]
    digest = hashlib.sha256(json.dumps([VERSION, *config.rules.plain()]).encode())
    for image, image_name, content in zip(images, names, contents, strict=True):
        digest.update(json.dumps([image_name, _num_bytes(image), len(content)]).encode() + content)

    def make() -> bytes:
        sizes = sizes_of(images, displayed_size, report)
        pictures = []
        for image_name, label, content, size in zip(names, labels, contents, sizes, strict=True):
            boxes = boxes_of(label, content, size, config.rules)
            # Boxes of a picture without a size could not be told from bad ones, and it is left out in any case.
            pictures.append(Picture(image_name, size, () if size == UNKNOWN_SIZE else boxes))
        return coco_document(pictures, config.rules.names)

    return Place(str(written(converted_dir, name, digest.hexdigest(), make)), str(folder))


def _config(root: Path, file: Path) -> _Config:
    """Read a YAML file.

    Raises:
        InputError: it is no YAML, or says not what is needed.
    """
    content = {"names": _lines(file, "classes")} if file.name == CLASSES else _plain_content(file)
    if isinstance(content, dict) and not content.get("train"):
        content = {**content, **_usual_folders(root)}
    if not isinstance(content, dict) or not content.get("train"):
        raise InputError(
            f"{file}: needed is train:, the folder or list of the training pictures, as there is none of "
            f"{', '.join(f'{name}/' for name in _USUAL_FOLDERS)}"
        )

    rules = LabelRules(file.name, _names(file, content), _num_keypoint_numbers(file, content))
    val_named = content.get("val") or content.get("validation") or ""
    base = content.get("path") or "."
    train = [_resolved(root, str(base), entry) for entry in _entries(file, "train", content["train"])]
    missing = [str(candidates[0]) for candidates in train if not any(path.exists() for path in candidates)]
    if missing:
        raise InputError(f"{file}: train: there is no {missing[0]}")

    val = [_resolved(root, str(base), entry) for entry in _entries(file, "val", val_named)]
    is_val_there = bool(val) and all(any(path.exists() for path in candidates) for candidates in val)
    return _Config(
        file=file,
        rules=rules,
        train=tuple(_first_there(candidates) for candidates in train),
        val=tuple(_first_there(candidates) for candidates in val) if is_val_there else None,
        val_named=str(val[0][0]) if val else "",
    )


def _usual_folders(root: Path) -> dict[str, str]:
    """Return the folders of the pictures as tools name them; empty where there are none of these."""
    train = next((name for name in _USUAL_FOLDERS if (root / name).is_dir()), None)
    if train is None:
        return {}
    val = next((name for name in _USUAL_FOLDERS[train] if (root / name).is_dir()), "")
    return {"train": train, "val": val}


def _lines(file: Path, of: str) -> list[str]:
    """Return the lines of a text file without empty ones; `of` says what it lists.

    Raises:
        InputError: it cannot be read.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is no list of {of}: {error}") from None
    return [line.strip() for line in lines if line.strip()]


def _plain_content(file: Path) -> object:
    """Return what a YAML file holds: plain values alone, whatever its tags say.

    Raises:
        InputError: it cannot be read, or is no YAML.
    """
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    # A date that there is not is a ValueError, and what is nested too deeply a RecursionError.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"cannot read {file}: {' '.join(str(error).split())}") from None


def _entries(file: Path, split: str, value: object) -> list[str]:
    """Return the folders and lists that a split is made of."""
    if not value:
        return []
    entries = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, str) for entry in entries):
        raise InputError(f"{file}: {split}: needed is a path or a list of paths, got {reprlib.repr(value)}")
    return [str(entry) for entry in entries]


def _resolved(root: Path, base: str, entry: str) -> list[Path]:
    """Return the paths that an entry may stand for, the likeliest first.

    `path:` is often that of another machine, or counts from another folder: below the folder that the user names goes
    first. And Roboflow writes `../train/images` for what lies below the YAML file's own folder.
    """
    entry = entry.rstrip("/")
    folders = (root, Path(base)) if Path(base).is_absolute() else (root / base, root)
    candidates = [folder / one for folder in folders for one in (entry, entry.removeprefix("../"))]
    return [Path(os.path.abspath(path)) for path in candidates]  # noqa: PTH100  # resolve() would follow links


def _first_there(candidates: Sequence[Path]) -> Path:
    return next(path for path in candidates if path.exists())


def _names(file: Path, content: Mapping[str, Any]) -> dict[int, str]:
    """Return the names of classes by their index.

    Raises:
        InputError: there are none, or they are neither a list nor a mapping from whole numbers.
    """
    names = content.get("names")
    num_classes = content.get("nc")
    if names is None and isinstance(num_classes, int) and num_classes > 0:
        return {index: f"class_{index}" for index in range(num_classes)}
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise InputError(f"{file}: names: needed are the classes, as a list or as a mapping from their numbers")

    for name in names.values():
        if name is None or isinstance(name, list | dict):
            raise InputError(f"{file}: names: needed is a text for each class, got {reprlib.repr(name)}")

    try:
        by_index = {int(index): str(name) for index, name in names.items()}
    except (TypeError, ValueError):
        raise InputError(f"{file}: names: needed are whole numbers, got {next(iter(names))!r}") from None
    if isinstance(num_classes, int) and num_classes != len(by_index):
        raise InputError(f"{file}: nc: {num_classes} is not the number of names, {len(by_index)}")
    return by_index


def _num_keypoint_numbers(file: Path, content: Mapping[str, Any]) -> int:
    """Return how many numbers of key points follow each box."""
    shape = content.get("kpt_shape")
    if shape is None:
        return 0
    if not isinstance(shape, list) or len(shape) != 2 or not all(isinstance(number, int) for number in shape):
        raise InputError(f"{file}: kpt_shape: needed are two whole numbers, got {reprlib.repr(shape)}")
    return int(shape[0]) * int(shape[1])


def _images_in(file: Path, sources: Sequence[Path]) -> list[Path]:
    """Return the pictures of a split, each once, and those that only a label speaks of.

    Raises:
        InputError: there are none, or a list cannot be read.
    """
    images: set[Path] = set()
    for source in sources:
        images |= _without_picture(source) | set(_pictures_below(source)) if source.is_dir() else _listed(file, source)
    if not images:
        raise InputError(f"{file}: there are no pictures in {', '.join(str(source) for source in sources)}")
    return sorted(images)


def _pictures_below(folder: Path) -> list[Path]:
    return [path for path in _files_below(folder) if path.name.lower().endswith(SUFFIXES)]


def _files_below(folder: Path) -> list[Path]:
    """Return all files in a folder and those below it, without hidden ones; links to folders are followed, once."""
    found: list[Path] = []
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        # A link may lead back to a folder that holds it.
        real = Path(parent).resolve()
        if real in seen:
            folders.clear()
            continue

        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    return found


def _without_picture(folder: Path) -> set[Path]:
    """Return a name for each picture that is missing, though there is a label for it: `cat.*` for `cat.txt`."""
    labels = Path(_labels_in_place_of_images(f"{folder}{os.sep}"))
    if labels == folder or not labels.is_dir():
        return set()

    stems = {path.relative_to(folder).with_suffix("") for path in _pictures_below(folder)}
    named = [path for path in _files_below(labels) if path.suffix == ".txt" and path.name not in _NO_LABELS]
    lost = {path.relative_to(labels).with_suffix("") for path in named} - stems
    return {folder / stem.with_name(f"{stem.name}.*") for stem in lost}


def _listed(file: Path, source: Path) -> set[Path]:
    """Return the pictures that a text file lists; relative ones lie beside it, or below the YAML file's folder."""
    images = set()
    for line in _lines(source, "pictures"):
        candidates = [Path(os.path.abspath(folder / line)) for folder in (source.parent, file.parent)]  # noqa: PTH100
        images.add(next((path for path in candidates if path.is_file()), candidates[0]))
    return images


def _label_of(image: Path) -> Path:
    """Return the label of a picture: below `labels` where the picture is below `images`, or else beside it."""
    label = Path(_labels_in_place_of_images(str(image))).with_suffix(".txt")
    # A folder above the data set may be called images, too.
    return label if label.parent.is_dir() else image.with_suffix(".txt")


def _labels_in_place_of_images(path: str) -> str:
    """Put `labels` in the place of the last `images` among the folders of a path."""
    return f"{os.sep}labels{os.sep}".join(path.rsplit(f"{os.sep}images{os.sep}", 1))


def _content(label: Path) -> bytes:
    """Return what a label holds; a picture without one has no objects."""
    try:
        return label.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise InputError(f"cannot read {label}: {error.strerror}") from None


def _num_bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1


def _names_pictures(file: Path) -> bool:
    """Return whether a YAML file describes a data set."""
    try:
        content = _plain_content(file)
    except InputError:
        return False
    return isinstance(content, dict) and "train" in content and bool({"names", "nc"} & content.keys())
