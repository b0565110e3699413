"""Lists of images by class, written as COCO annotations: each image has one box, which is all of it.

So images of classes are cached, checked and read by the same code as images with boxes.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from foundation import InputError, make_folder, write_whole
from proxy_tasks.base import Report
from proxy_tasks.coco.image_sizes import sizes_of, stored_size

PLACES = ("root", "lists_dir", "train", "val", "train_annotations", "val_annotations", "images")
"""Options that say where images of classes and their lists lie, and nothing of what they hold."""


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
    sizes = sizes_of(images, lambda image: image.size_px or stored_size(image_dir / image.name), report)
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
