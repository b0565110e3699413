"""Lists of images by class, written as COCO annotations: each image has one box, which is all of it.

So images of classes are cached, checked and read by the same code as images with boxes.
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from foundation import InputError, make_folder, write_whole
from proxy_tasks.base import Report
from proxy_tasks.coco.image_store import num_cores

PLACES = ("root", "lists_dir", "train", "val", "train_annotations", "val_annotations", "images")
"""Options that say where images of classes and their lists lie, and nothing of what they hold."""
_BATCH = 1024
"""Files that are looked at between two reports."""
_UNKNOWN = (1, 1)
"""Size of a file that is no image: decoding it says what is wrong, and it is counted as bad."""


class ListedImage(NamedTuple):
    """An image of a list.

    Attributes:
        name: below the image folder.
        class_index: index of its class.
        num_bytes: size of its file; a list is made again where one has another.
        size_px: height and width; None where its file has to be asked.
    """

    name: str
    class_index: int
    num_bytes: int = 0
    size_px: tuple[int, int] | None = None


def written_list(
    folder: Path, name: str, image_dir: Path, images: Sequence[ListedImage], classes: Sequence[str], report: Report
) -> Path:
    """Return the file of a list; it is written where there is none of these images yet.

    Args:
        folder: of all lists.
        name: beginning of the file's name.
        image_dir: folder of the images.
        images: all of them; their order gives them their ids.
        classes: the names of classes, class 0 first.
        report: called while sizes are read.

    Raises:
        InputError: it cannot be written.
    """
    path = folder / f"{name}-{_hash_of(images, classes)}.json"
    if path.exists():
        return path

    try:
        make_folder(folder)
    except OSError as error:
        raise InputError(f"cannot write the list of images {path}: {error.strerror}; see data.lists_dir") from None
    sizes = _sizes_of(image_dir, images, report)
    document = {
        "images": [
            {"id": i, "file_name": image.name, "height": size[0], "width": size[1]}
            for i, (image, size) in enumerate(zip(images, sizes, strict=True), start=1)
        ],
        "annotations": [
            _whole_image(i, image.class_index, size)
            for i, (image, size) in enumerate(zip(images, sizes, strict=True), start=1)
        ],
        "categories": [{"id": i, "name": one} for i, one in enumerate(classes, start=1)],
    }
    write_whole(path, json.dumps(document).encode())
    return path


def _whole_image(number: int, class_index: int, size_px: tuple[int, int]) -> dict[str, Any]:
    height, width = size_px
    return {"id": number, "image_id": number, "category_id": class_index + 1, "bbox": [0, 0, width, height]}


def _hash_of(images: Sequence[ListedImage], classes: Sequence[str]) -> str:
    """Return 16 hex digits that stand for what a list is made of."""
    digest = hashlib.sha256(json.dumps(list(classes)).encode())
    for image in images:
        digest.update(json.dumps(image).encode())
    return digest.hexdigest()[:16]


def _sizes_of(image_dir: Path, images: Sequence[ListedImage], report: Report) -> list[tuple[int, int]]:
    """Return height and width of each image, as its file has them."""

    def size_of(image: ListedImage) -> tuple[int, int]:
        return image.size_px or stored_size(image_dir / image.name)

    sizes: list[tuple[int, int]] = []
    with ThreadPoolExecutor(num_cores(), "sizes") as pool:
        for start in range(0, len(images), _BATCH):
            sizes += pool.map(size_of, images[start : start + _BATCH])
            report("reading the sizes of images", len(sizes), len(images))
    return sizes


def stored_size(file: Path) -> tuple[int, int]:
    """Return height and width of an image file, without decoding it; of one that is no image, one pixel."""
    try:
        with Image.open(file) as opened:
            return opened.height, opened.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return _UNKNOWN
