"""iNaturalist, whose annotation files give each image a class in COCO's layout, without boxes."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from foundation import InputError, first_error
from proxy_tasks.base import Report
from proxy_tasks.classification.class_lists import ListedImage, written_list
from proxy_tasks.coco.bad_entries import MAX_BAD_SHARE
from proxy_tasks.coco.folder import CocoFolder

_Pixels = Annotated[int, Field(ge=1, le=2**20)]


class _Image(TypedDict):
    id: int
    file_name: str
    width: NotRequired[_Pixels | None]
    height: NotRequired[_Pixels | None]


class _Annotation(TypedDict):
    image_id: int
    category_id: int


class _Category(TypedDict):
    id: int
    name: str


class _Document(TypedDict):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


_DOCUMENT = TypeAdapter(_Document)


@dataclass(frozen=True, slots=True)
class INaturalist:
    """iNaturalist of any year, as it is unpacked.

    Attributes:
        root: folder of the data set, which the names of images are below.
        train_annotations: annotation file of the training images, relative to root.
        val_annotations: annotation file of the validation images, relative to root.
        images: folder that the names of images are below, relative to root.
        lists_dir: see `ImageFolder`.
        num_held_out: see `CocoFolder`.
        split_seed: see `CocoFolder`.
        max_images: see `CocoFolder`.
        max_bad_share: see `CocoFolder`.
    """

    root: Path | None = None
    train_annotations: str = "train2017.json"
    val_annotations: str = "val2017.json"
    images: str = "."
    lists_dir: Path = Path("data/lists")
    num_held_out: int | float = 10_000
    split_seed: int = 0
    max_images: int | None = None
    max_bad_share: float = MAX_BAD_SHARE

    def __post_init__(self) -> None:
        self._coco("", "")

    def folder(self, report: Report) -> CocoFolder:
        """Return the folder as one of COCO format, with lists of its images.

        Raises:
            InputError: an annotation file cannot be read, or gives an image no class, or several.
        """
        if self.root is None:
            raise InputError(
                f"no data: pass data.root=FOLDER, which has {self.train_annotations}, {self.val_annotations} and the "
                "images that they name"
            )
        train = self._list("train", self.root / self.train_annotations, report)
        val = self.root / self.val_annotations
        return self._coco(train, self._list("val", val, report) if val.exists() else self.val_annotations)

    def _list(self, split: str, file: Path, report: Report) -> str:
        document = _read(file)
        categories = sorted(document["categories"], key=lambda category: category["id"])
        index_of = {category["id"]: i for i, category in enumerate(categories)}

        times = Counter(annotation["image_id"] for annotation in document["annotations"])
        class_of = {annotation["image_id"]: annotation["category_id"] for annotation in document["annotations"]}
        images = []
        for image in document["images"]:
            if times[image["id"]] != 1:
                raise InputError(f"{file}: image {image['id']} has {times[image['id']]} classes, needed is one")
            if class_of[image["id"]] not in index_of:
                raise InputError(f"{file}: image {image['id']}: unknown category_id {class_of[image['id']]}")
            height, width = image.get("height"), image.get("width")
            size_px = (height, width) if height and width else None
            images.append(ListedImage(image["file_name"], index_of[class_of[image["id"]]], size_px=size_px))

        root = file.parent
        names = [category["name"] for category in categories]
        return str(written_list(self.lists_dir, f"{root.name}-{split}", root / self.images, images, names, report))

    def _coco(self, train_list: str, val_list: str) -> CocoFolder:
        return CocoFolder(
            root=self.root,
            train_annotations=train_list,
            train_images=self.images,
            val_annotations=val_list,
            val_images=self.images,
            num_held_out=self.num_held_out,
            split_seed=self.split_seed,
            max_images=self.max_images,
            max_bad_share=self.max_bad_share,
        )


def _read(path: Path) -> _Document:
    try:
        return _DOCUMENT.validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"no data: {path}: {error.strerror}; data.root= names the folder that it is in") from None
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}") from None
