"""A folder in COCO's format: which files it holds, under which names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeAlias, assert_never

from foundation import InputError, check_seed
from proxy_tasks.base import Report
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.bad_entries import MAX_BAD_SHARE, check_share
from proxy_tasks.coco.cache_files import CacheKey
from proxy_tasks.coco.image_store import Format
from proxy_tasks.coco.native_images import Native

SplitName: TypeAlias = Literal["train", "val"]
PLACES = ("root", "train_annotations", "train_images", "val_annotations", "val_images")
"""Options that say where a data set lies and nothing of what it holds."""
MACHINE = ("cache_dir", "data.max_bad_share")
"""Options of a task on such a data set that no metric depends on."""


@dataclass(frozen=True, slots=True)
class CocoFolder:
    """Any data set in COCO's format; the defaults are COCO 2017's own names.

    Attributes:
        root: the folder that holds everything; None where it has not been named yet.
        train_annotations: JSON of the training images, below `root`.
        train_images: folder of the training images, below `root`.
        val_annotations: JSON of the validation images, below `root`.
        val_images: folder of the validation images, below `root`.
        num_held_out: training images that are never trained on and whose AP is the reward.
        split_seed: seed of the choice of those images; the same for every trial.
        max_images: use only this many images of each split, chosen at random but always the same; None for all.
        max_bad_share: largest share of the images, of the boxes and of the annotations of a split that may be bad, from
            0 to 1. A single one may be in any case, unless this is 0; all of them never.
    """

    root: Path | None
    train_annotations: str = "annotations/instances_train2017.json"
    train_images: str = "train2017"
    val_annotations: str = "annotations/instances_val2017.json"
    val_images: str = "val2017"
    num_held_out: int = 7392
    split_seed: int = 0
    max_images: int | None = None
    max_bad_share: float = MAX_BAD_SHARE

    def __post_init__(self) -> None:
        check_split(self.num_held_out, self.split_seed)
        if self.max_images is not None and self.max_images < 2:
            raise ValueError(f"max_images must be 2 or more, got {self.max_images}")
        check_share(self.max_bad_share)

    def folder(self, report: Report) -> Self:
        """Return itself: there is nothing to make."""
        return self

    def paths(self, split: SplitName) -> tuple[Path, Path]:
        """Return the annotation file and the image folder of `train` or `val`.

        Raises:
            InputError: they are not there; the message says where to put them.
        """
        match split:
            case "train":
                annotations, images = self.train_annotations, self.train_images
            case "val":
                annotations, images = self.val_annotations, self.val_images
            case _:
                assert_never(split)

        if self.root is None:
            raise InputError(
                f"no data: pass data.root=/path/to/coco, a folder with {annotations} and the images in {images}/"
            )

        for path in (self.root / annotations, self.root / images):
            if not path.exists():
                raise InputError(
                    f"no data: {path} does not exist; put the data set into {self.root} "
                    f"({annotations} and {images}/) or name the folder that holds it"
                )
        return self.root / annotations, self.root / images

    def cache_key(
        self, split: SplitName, image_size_px: int, image_format: Format | Native, cache_dir: Path
    ) -> CacheKey:
        """Return the key of the cache of `train` or `val`.

        Raises:
            InputError: as `paths`.
        """
        annotation_file, image_dir = self.paths(split)
        return CacheKey(
            annotation_file, image_dir, image_size_px, image_format, self.max_images, cache_dir, self.max_bad_share
        )

    def check_categories(self, train: Annotations, val: Annotations) -> None:
        """Check that both splits have the same categories: the same ids, and each of the same name.

        Raises:
            InputError: they have not; the message shows the first that differs as each split has it.
        """
        train_names = dict(zip(train.category_ids, train.category_names, strict=True))
        val_names = dict(zip(val.category_ids, val.category_names, strict=True))

        for number in sorted({*train_names, *val_names}):
            in_train, in_val = train_names.get(number), val_names.get(number)
            if in_train != in_val:
                raise InputError(
                    f"{self.root}: training and validation annotations have different categories: id {number} is "
                    f"{_quoted(in_train)} in training and {_quoted(in_val)} in validation"
                )


def _quoted(category_name: str | None) -> str:
    return "missing" if category_name is None else repr(category_name)


def check_split(num_held_out: int, split_seed: int) -> None:
    """Check the numbers that choose the held-out images.

    Raises:
        ValueError: out of range.
    """
    if num_held_out < 1:
        raise ValueError(f"num_held_out must be 1 or more, got {num_held_out}")
    check_seed("split_seed", split_seed)
