"""A data set of boxes: which files it holds, under which names, in COCO's layout or another."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self, TypeAlias, assert_never

from foundation import InputError, check_seed, short_path
from proxy_tasks.base import Report
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.bad_entries import MAX_BAD_SHARE, check_share
from proxy_tasks.coco.cache_files import CacheKey
from proxy_tasks.coco.image_store import Format
from proxy_tasks.coco.layouts.layout import Layout, Place
from proxy_tasks.coco.layouts.recognise import named_layout, recognised
from proxy_tasks.coco.native_images import Native

SplitName: TypeAlias = Literal["train", "val"]
PLACES = ("root", "train_annotations", "train_images", "val_annotations", "val_images")
"""Options that say where a data set lies and nothing of what it holds."""
MACHINE = ("cache_dir", "data.max_bad_share", "data.converted_dir")
"""Options of a task on such a data set that no metric depends on."""
_TRAIN = Place("annotations/instances_train2017.json", "train2017")
_VAL = Place("annotations/instances_val2017.json", "val2017")


@dataclass(frozen=True, slots=True)
class CocoFolder:
    """Any data set in COCO's format, or in another whose layout is known.

    The defaults are COCO 2017's own names. Where these files are not there, and no others are named, `folder` looks for
    another layout.

    Attributes:
        root: the folder that holds everything; None where it has not been named yet.
        train_annotations: JSON of the training images, below `root`; or the YAML file of a YOLO data set, or the folder
            of XML files of a Pascal VOC one.
        train_images: folder of the training images, below `root`.
        val_annotations: JSON of the validation images, below `root`.
        val_images: folder of the validation images, below `root`.
        num_held_out: training images that are never trained on and whose AP is the reward: their number, or below 1
            their share.
        split_seed: seed of the choice of those images; the same for every trial.
        max_images: use only this many images of each split, chosen at random but always the same; None for all.
        max_bad_share: largest share of the images, of the boxes and of the annotations of a split that may be bad, from
            0 to 1. A single one may be in any case, unless this is 0; all of them never.
        converted_dir: folder for annotations that are converted into COCO's format.
    """

    root: Path | None
    train_annotations: str = _TRAIN.annotations
    train_images: str = _TRAIN.images
    val_annotations: str = _VAL.annotations
    val_images: str = _VAL.images
    num_held_out: int | float = 0.1
    split_seed: int = 0
    max_images: int | None = None
    max_bad_share: float = MAX_BAD_SHARE
    converted_dir: Path = Path("data/converted")

    def __post_init__(self) -> None:
        check_split(self.num_held_out, self.split_seed)
        if self.max_images is not None and self.max_images < 2:
            raise ValueError(f"max_images must be 2 or more, got {self.max_images}")
        check_share(self.max_bad_share)

    def folder(self, report: Report) -> Self:
        """Return the folder with the names that its files have; convert its annotations first if need be.

        Options that are given always win: nothing is looked for in place of a file that an option names.

        Args:
            report: called with the layout where it is another than COCO 2017's, and while annotations are converted.

        Raises:
            InputError: no layout fits, or several, or the data set has a mistake that its layout shows.
        """
        if self.root is None or not self.root.exists():
            return self
        if not self.root.is_dir():
            raise InputError(f"data.root={self.root} is a file: name the folder of the data set, {self.root.parent}")
        layout = self._layout(self.root, report)
        if layout is None:
            return self

        annotations, images = (short_path(path) if Path(path).is_absolute() else path for path in layout.train)
        report(f"{layout.title}: {annotations}, pictures in {images}", 1, 1)
        val = layout.val if self._val == _VAL else self._val
        return replace(
            self,
            train_annotations=layout.train.annotations,
            train_images=layout.train.images,
            val_annotations=val.annotations,
            val_images=val.images,
        )

    def _layout(self, root: Path, report: Report) -> Layout | None:
        """Return the layout of the data set; None where the options name its files."""
        if self._train != _TRAIN:
            return named_layout(root, self.train_annotations, self.converted_dir, report)
        is_there = any((root / one.annotations).is_file() and (root / one.images).is_dir() for one in (_TRAIN, _VAL))
        return None if is_there or self._val != _VAL else recognised(root, self.converted_dir, report)

    @property
    def _train(self) -> Place:
        return Place(self.train_annotations, self.train_images)

    @property
    def _val(self) -> Place:
        return Place(self.val_annotations, self.val_images)

    def paths(self, split: SplitName) -> tuple[Path, Path]:
        """Return the annotation file and the image folder of `train` or `val`.

        Raises:
            InputError: they are not there; the message says where to put them.
        """
        match split:
            case "train":
                annotations, images = self._train
            case "val":
                annotations, images = self._val
            case _:
                assert_never(split)

        if self.root is None:
            raise InputError(
                f"no data: pass data.root=/path/to/coco, a folder with {annotations} and the images in {images}/"
            )

        for path in (self.root / annotations, self.root / images):
            if path.exists():
                continue
            if split == "val":
                raise InputError(
                    f"no data: {path} does not exist; the validation set goes there, or data.val_annotations= and "
                    "data.val_images= name it"
                )
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


def check_split(num_held_out: float, split_seed: int) -> None:
    """Check the numbers that choose the held-out images.

    Raises:
        ValueError: out of range.
    """
    is_right = 0 < num_held_out < 1 if isinstance(num_held_out, float) else num_held_out >= 1
    if not is_right:
        raise ValueError(f"num_held_out must be 1 or more, a whole number, or a share below 1, got {num_held_out}")
    check_seed("split_seed", split_seed)
