"""A data set with a folder of images for each class, as ImageNet is laid out."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foundation import InputError
from proxy_tasks.base import Report
from proxy_tasks.classification.class_lists import ListedImage, written_list
from proxy_tasks.coco.bad_entries import MAX_BAD_SHARE
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.image_names import SUFFIXES


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """Images by class: `train/` and `val/` have a folder for each class, whose name is the class's.

    Classes are those of `train/`, in the order of their names. Images may lie in folders below that of their class.

    Attributes:
        root: folder of the data set.
        train: folder of the training images, relative to root.
        val: folder of the validation images, relative to root; it may lack a class.
        lists_dir: folder where the list of images is kept, with their sizes.
        num_held_out: see `CocoFolder`.
        split_seed: see `CocoFolder`.
        max_images: see `CocoFolder`.
        max_bad_share: see `CocoFolder`.
    """

    root: Path | None = None
    train: str = "train"
    val: str = "val"
    lists_dir: Path = Path("data/lists")
    num_held_out: int | float = 10_000
    split_seed: int = 0
    max_images: int | None = None
    max_bad_share: float = MAX_BAD_SHARE

    def __post_init__(self) -> None:
        # What both have is checked in one place.
        self._coco("", "")

    def folder(self, report: Report) -> CocoFolder:
        """Return the folder as one of COCO format, with lists of its images.

        Raises:
            InputError: there are no images or one class, a class has no images, or the validation images have a class
                that the training images have not.
        """
        if self.root is None:
            raise InputError(
                f"no data: pass data.root=FOLDER, which has {self.train}/ and {self.val}/ with a folder for each class"
            )
        train = self.root / self.train
        classes = _classes_in(train)
        if len(classes) < 2:
            found = f"one class, {classes[0]}" if classes else "no folder"
            raise InputError(f"{train} has {found}: needed is a folder of images for each class, two or more")

        images = list(_images_in(train, classes))
        empty = sorted(set(range(len(classes))) - {image.class_index for image in images})
        if empty:
            raise InputError(
                f"{train / classes[empty[0]]} has no images ({len(empty)} of {len(classes)} classes have none): fill "
                "it, or remove it"
            )
        train_list = written_list(self.lists_dir, f"{self.root.name}-train", train, images, classes, report)
        return self._coco(str(train_list), self._val_list(classes, report))

    def _val_list(self, classes: list[str], report: Report) -> str:
        """Return the list of the validation images; where there are none, their folder, which a message then names."""
        if self.root is None or not (self.root / self.val).is_dir():
            return self.val
        val = self.root / self.val
        unknown = sorted(set(_classes_in(val)) - set(classes))
        if unknown:
            raise InputError(f"{val / unknown[0]}: no such class among the {len(classes)} of {self.root / self.train}")

        images = list(_images_in(val, [name for name in classes if (val / name).is_dir()]))
        of_train = {name: i for i, name in enumerate(classes)}
        renamed = [image._replace(class_index=of_train[image.name.partition("/")[0]]) for image in images]
        if not renamed:
            raise InputError(f"{val} has no images")
        return str(written_list(self.lists_dir, f"{self.root.name}-val", val, renamed, classes, report))

    def _coco(self, train_list: str, val_list: str) -> CocoFolder:
        return CocoFolder(
            root=self.root,
            train_annotations=train_list,
            train_images=self.train,
            val_annotations=val_list,
            val_images=self.val,
            num_held_out=self.num_held_out,
            split_seed=self.split_seed,
            max_images=self.max_images,
            max_bad_share=self.max_bad_share,
        )


def _classes_in(folder: Path) -> list[str]:
    """Return the folders in a folder by name, without hidden ones.

    Raises:
        InputError: there is no such folder.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"no data: {folder}: {error.strerror}; data.root= names the folder that it is in") from None


def _images_in(folder: Path, classes: list[str]) -> Iterator[ListedImage]:
    """Yield the images of each class, by name.

    Raises:
        InputError: the folder of a class, or one below it, cannot be read.
    """
    for index, name in enumerate(classes):
        try:
            files = sorted(_files_below(folder / name, name))
        except OSError as error:
            raise InputError(f"cannot read {folder / name}: {error.strerror}") from None
        for below, num_bytes in files:
            yield ListedImage(below, index, num_bytes)


def _files_below(folder: Path, name: str) -> Iterator[tuple[str, int]]:
    """Yield the image files in a folder and those below it, each by its name and its size in bytes."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _files_below(folder / entry.name, f"{name}/{entry.name}")
            elif entry.name.lower().endswith(SUFFIXES):
                try:
                    num_bytes = entry.stat().st_size
                except OSError:  # a link to nowhere, which decoding names
                    num_bytes = -1
                yield f"{name}/{entry.name}", num_bytes
