"""Layouts of tools that write COCO JSON: Roboflow, CVAT and Datumaro, Label Studio."""

import json
import mmap
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from foundation import InputError
from proxy_tasks.coco.image_names import name_below
from proxy_tasks.coco.layouts.layout import Layout, Place

ROBOFLOW_FILE = "_annotations.coco.json"
LABEL_STUDIO_FILE = "result.json"
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')
_NUM_SAMPLED = 20
"""Names of pictures that decide which of several folders they lie in."""


def read_roboflow(root: Path, file: Path) -> Layout:
    """Return Roboflow's layout: each split is a folder with its annotations and its pictures.

    Args:
        root: folder of the data set.
        file: annotations of the training set.
    """
    others = (name for name in ("valid", "val", "test") if (root / name / ROBOFLOW_FILE).is_file())
    val = "valid" if file.parent == root else next(others, "valid")
    train = _below(root, file.parent)
    return Layout("Roboflow's layout", Place(_below(root, file), train), Place(f"{val}/{ROBOFLOW_FILE}", val))


def read_instances(root: Path, files: Sequence[Path]) -> Layout:
    """Return the layout of CVAT and Datumaro: `annotations/instances_SUBSET.json`, pictures in `images/SUBSET`.

    One subset alone is the training set, whatever its name.

    Raises:
        InputError: none of several subsets is clearly the training set, or the folder of its pictures is missing.
    """
    subsets = {file.stem.removeprefix("instances_"): file for file in files}
    train = next(iter(subsets)) if len(subsets) == 1 else _subset(subsets, "train") or _subset(subsets, "default")
    if train is None:
        raise InputError(
            f"{root} has {', '.join(_below(root, file) for file in files)}: say which to train on, as "
            f"data.train_annotations={_below(root, files[0])} data.train_images=FOLDER"
        )

    val = _subset(subsets, "val") or _subset(subsets, "test")
    val_place = Place("annotations/instances_val.json", "images/val")
    if val is not None and val != train:
        val_place = _with_images(root, subsets[val], (f"images/{val}", val, "images"), "val")
    train_place = _with_images(root, subsets[train], (f"images/{train}", train, "images"), "train")
    return Layout("the layout of CVAT and Datumaro", train_place, val_place)


def read_label_studio(root: Path, file: Path) -> Layout:
    """Return Label Studio's layout: `result.json` beside `images/`. It has no validation set.

    Raises:
        InputError: the file is Label Studio's own JSON.
    """
    with file.open("rb") as opened:
        if opened.read(64).lstrip().startswith(b"["):
            raise InputError(f"{file} is Label Studio's own JSON: export the project as COCO, with images, instead")

    # Names are below the folder of the file; older versions wrote them below images/.
    place = _with_images(root, file, (".", "images"), "train")
    return Layout("Label Studio's layout", place, Place("val.json", "images"))


def file_names(annotations: Path) -> Iterator[str]:
    """Yield the names of pictures in a COCO JSON as they stand there, without reading the rest.

    Raises:
        OSError: it cannot be read.
    """
    with annotations.open("rb") as file:
        if not annotations.stat().st_size:
            return
        # Closed when nothing refers to it any more: a match does, and a search that is left early.
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    for found in _FILE_NAME.finditer(content):
        try:
            yield json.loads(found[1])
        except ValueError:
            # Reading the whole file says what is wrong with it.
            return


def _with_images(root: Path, file: Path, candidates: Sequence[str], split: str) -> Place:
    """Return the place of a split: of the folders that there are, the one with most of the pictures.

    Raises:
        InputError: there is none of these folders.
    """
    there = [folder for folder in candidates if (root / folder).is_dir()]
    annotations = _below(root, file)
    if not there:
        raise InputError(
            f"{root} has {annotations}, and no pictures in {', '.join(f'{name}/' for name in candidates)}: put them "
            f"there, or name their folder: data.{split}_annotations={annotations} data.{split}_images=FOLDER"
        )

    names = list(islice(file_names(file), _NUM_SAMPLED)) if len(there) > 1 else []
    return Place(annotations, max(there, key=lambda folder: _num_found(root / folder, names)))


def _num_found(folder: Path, names: Sequence[str]) -> int:
    below = (name_below(folder, name) for name in names)
    return sum(name is not None and (folder / name).is_file() for name in below)


def _subset(subsets: dict[str, Path], beginning: str) -> str | None:
    """Return the one subset whose name is a word or begins with it; None where there is none, or several."""
    if beginning in subsets:
        return beginning
    found = [name for name in subsets if name.startswith(beginning)]
    return found[0] if len(found) == 1 else None


def _below(root: Path, path: Path) -> str:
    return str(path.relative_to(root))
