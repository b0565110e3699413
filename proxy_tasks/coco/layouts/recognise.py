"""The layout of a folder, recognised by the names of its files."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from foundation import InputError
from proxy_tasks.base import Report
from proxy_tasks.coco.layouts.json_layouts import (
    LABEL_STUDIO_FILE,
    ROBOFLOW_FILE,
    read_instances,
    read_label_studio,
    read_roboflow,
)
from proxy_tasks.coco.layouts.layout import Layout
from proxy_tasks.coco.layouts.voc import ANNOTATIONS, read_voc
from proxy_tasks.coco.layouts.yolo import CLASSES, read_yolo, yolo_files

_TITLES = "COCO 2017, Roboflow, CVAT, Datumaro, Label Studio, YOLO, Pascal VOC"
_MAX_LISTED = 6
"""Most names in a folder that a message lists."""


class _Found(NamedTuple):
    """A layout that a folder may have.

    Attributes:
        sign: what it is recognised by.
        options: options that name it.
        read: returns it.
    """

    sign: str
    options: str
    read: Callable[[], Layout]


def recognised(root: Path, converted_dir: Path, report: Report) -> Layout:
    """Return the layout of a folder; annotations in other formats than COCO's are converted.

    Args:
        root: folder of the data set.
        converted_dir: folder for converted annotations.
        report: called while they are converted.

    Raises:
        InputError: none is known that fits, several fit, or the data set has a mistake that its layout shows.
    """
    found = list(_found_in(root, converted_dir, report))
    if len(found) == 1:
        return found[0].read()
    if found:
        signs = " and ".join(one.sign for one in found)
        raise InputError(f"{root} has {signs}: say which, as {', or '.join(one.options for one in found)}")

    inside = next((sub for sub in _folders_in(root) if list(_found_in(sub, converted_dir, report))), None)
    if inside is not None:
        raise InputError(f"no data: {root} holds {_listing(root)}; did you mean data.root={inside}?")
    raise InputError(
        f"no data: {root} holds {_listing(root)}, which is no layout that is known ({_TITLES}); docs/coco.md shows "
        "them. Name the files of another: data.train_annotations=FILE.json data.train_images=FOLDER"
    )


def named_layout(root: Path, annotations: str, converted_dir: Path, report: Report) -> Layout | None:
    """Return the layout that a name in place of an annotation file stands for; None where it stands for a file.

    A YAML file is YOLO's, `classes.txt` too, a folder Pascal VOC's.

    Raises:
        InputError: as `recognised`.
    """
    path = root / annotations
    if (path.suffix in (".yaml", ".yml") or path.name == CLASSES) and path.is_file():
        return read_yolo(root, path, converted_dir, report)
    if path.is_dir():
        return read_voc(path, converted_dir, report)
    return None


def _found_in(root: Path, converted_dir: Path, report: Report) -> Iterator[_Found]:
    """Yield the layouts that a folder may have."""
    for name in (f"train/{ROBOFLOW_FILE}", ROBOFLOW_FILE):
        if (root / name).is_file():
            options = f"data.train_annotations={name} data.train_images={Path(name).parent}"
            yield _Found(name, options, partial(read_roboflow, root, root / name))

    instances = sorted((root / "annotations").glob("instances_*.json"))
    if instances:
        name = f"annotations/{instances[0].name}"
        options = f"data.train_annotations={name} data.train_images=FOLDER"
        yield _Found(name, options, partial(read_instances, root, instances))

    if (root / LABEL_STUDIO_FILE).is_file():
        options = f"data.train_annotations={LABEL_STUDIO_FILE} data.train_images=."
        yield _Found(LABEL_STUDIO_FILE, options, partial(read_label_studio, root, root / LABEL_STUDIO_FILE))

    for file in yolo_files(root):
        options = f"data.train_annotations={file.name}"
        yield _Found(file.name, options, partial(read_yolo, root, file, converted_dir, report))

    if next((root / ANNOTATIONS).rglob("*.xml"), None) is not None:
        options = f"data.train_annotations={ANNOTATIONS}"
        yield _Found(f"{ANNOTATIONS}/*.xml", options, partial(read_voc, root / ANNOTATIONS, converted_dir, report))


def _folders_in(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _listing(root: Path) -> str:
    """Return in words what a folder holds."""
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in root.iterdir())
    if not names:
        return "nothing"
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more
