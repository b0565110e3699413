"""An embedded detection data set: bright shapes before one another on dim backgrounds, as a real COCO folder."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, assert_never, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from foundation import check_range, check_seed
from proxy_tasks.base import Report
from proxy_tasks.coco.drawn_folder import draw_once
from proxy_tasks.coco.folder import CocoFolder, check_split
from proxy_tasks.coco.run_lengths import encode_mask

Shape: TypeAlias = Literal["circle", "square", "triangle"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
ONE_CLASS = "shape"
"""Name of the class of all shapes where they have one."""
BoxXywh: TypeAlias = tuple[float, float, float, float]
"""Top left corner, width and height in pixels."""
MIN_SIZE_PX = 4
MAX_SIZE_SHARE = 0.875
"""Side of the largest shape, in sides of the image."""
MAX_SHAPES = 16
"""Shapes that are tried in an image, of which some six find room: each is a lesson, and none makes a step longer."""
MAX_COMMON_SHARE = 0.15
"""Area that two shapes may have in common, in areas of the larger: a small one may stand before a large one."""
MAX_BACKGROUND, MIN_FOREGROUND = 80, 150
"""Background colours are darker than the one, shapes as bright as the other or brighter, of 255."""
_JPEG_QUALITY = 95
_MIN_IMAGE_SIZE_PX, _MAX_IMAGE_SIZE_PX = 48, 4096
_MAX_IMAGES = 1_000_000
_DRAWN = ("num_train_images", "num_val_images", "image_size_px", "seed")
"""The options that decide the files, without the classes, which are younger."""
_DRAWING = 3
"""The number of the way of drawing, which a recipe has too. Those of version 0.1 have none, and at most four shapes; by
the second no shape stood before another, and both had three classes."""
_MASKS = 1
"""The number of the way in which masks are written."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """A COCO folder that is drawn when it is first needed.

    The same numbers give the same pictures and boxes, bit for bit with the same version of Pillow.

    Attributes:
        root: folder to write; the layout and the names are those of COCO 2017.
        num_train_images: images in `train2017`, those held out for the reward included.
        num_val_images: images in `val2017`.
        image_size_px: height and width of every image.
        seed: seed of the drawing.
        num_classes: 3 for circle, square and triangle; 1 if all are `shape`. Telling them apart is learnt in leaps, at
            moments that vary from seed to seed: with one class two trainings of a network end closer together.
        masks: write of each shape what is seen of it, as COCO does: a mask ends where another shape stands before it,
            while its box is around the whole shape; and its area is that of the mask. Pictures and boxes stay the same.
        num_held_out: see `CocoFolder`.
        split_seed: see `CocoFolder`.
    """

    root: Path
    num_train_images: int = 1020
    num_val_images: int = 200
    image_size_px: int = 96
    seed: int = 0
    num_classes: int = 3
    masks: bool = False
    num_held_out: int | float = 300
    split_seed: int = 0

    def __post_init__(self) -> None:
        check_split(self.num_held_out, self.split_seed)
        for name, number in (("num_train_images", self.num_train_images), ("num_val_images", self.num_val_images)):
            check_range(name, number, 1, _MAX_IMAGES, "they are drawn one by one, a thousand a second")
        if not _MIN_IMAGE_SIZE_PX <= self.image_size_px <= _MAX_IMAGE_SIZE_PX:
            bounds = f"{_MIN_IMAGE_SIZE_PX} to {_MAX_IMAGE_SIZE_PX}"
            raise ValueError(f"image_size_px must be {bounds}, got {self.image_size_px}")
        check_seed("seed", self.seed)
        if self.num_classes not in (1, len(SHAPES)):
            raise ValueError(f"num_classes must be 1 or {len(SHAPES)}, got {self.num_classes}")

    def folder(self, report: Report) -> CocoFolder:
        """Return the folder; draw it first if it is not there.

        Raises:
            InputError: `root` holds something else, or cannot be written.
        """
        # What was drawn is on record, as the same folder with other options would hold other images.
        options: dict[str, int] = {name: getattr(self, name) for name in _DRAWN}
        recipe = {**options, "num_classes": self.num_classes, "drawing": _DRAWING}
        if self.masks:
            # Only then: without masks the files are what they always were, and so is their content on record.
            recipe["masks"] = _MASKS
        # A run that began on a folder of an older way of drawing goes on with it.
        has_older = self.num_classes == len(SHAPES) and not self.masks
        older = [options, {**options, "drawing": 2}] if has_older else []
        draw_once(self.root, recipe, partial(self._draw, report=report), as_good=older)
        return CocoFolder(self.root, num_held_out=self.num_held_out, split_seed=self.split_seed)

    def _draw(self, folder: Path, report: Report) -> None:
        self._draw_split(folder, "train2017", report)
        self._draw_split(folder, "val2017", report)

    def _draw_split(self, root: Path, name: Literal["train2017", "val2017"], report: Report) -> None:
        """Draw the images of a split, and write its annotations."""
        match name:
            case "train2017":
                split, num_images, num_before = 0, self.num_train_images, 0
            case "val2017":
                split, num_images, num_before = 1, self.num_val_images, self.num_train_images
            case _:
                assert_never(name)

        (root / name).mkdir(parents=True)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for i in range(num_images):
            # A seed for each image: one more image changes none of the others.
            picture, shapes = draw_image(np.random.default_rng([self.seed, split, i]), self.image_size_px)
            file_name = f"{i:012d}.jpg"
            picture.save(root / name / file_name, quality=_JPEG_QUALITY)

            size = {"width": self.image_size_px, "height": self.image_size_px}
            images.append({"id": i, "file_name": file_name, **size})
            masks = visible_masks(shapes, self.image_size_px) if self.masks else [None] * len(shapes)
            for (shape, box_xywh), mask in zip(shapes, masks, strict=True):
                label = SHAPES.index(shape) if self.num_classes > 1 else 0
                annotations.append(_annotation(len(annotations), i, label, box_xywh, mask))
            report("drawing images", num_before + i + 1, self.num_train_images + self.num_val_images)

        names = SHAPES if self.num_classes > 1 else (ONE_CLASS,)
        categories = [{"id": label + 1, "name": name} for label, name in enumerate(names)]
        document = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{name}.json").write_text(json.dumps(document), encoding="utf-8")


def draw_image(rng: np.random.Generator, size_px: int) -> tuple[Image.Image, list[tuple[Shape, BoxXywh]]]:
    """Draw one to sixteen shapes, without those that find no room: small ones before large ones.

    Returns:
        The picture, and each shape with its tight box in pixels, the largest first.
    """
    # Between four colours, one for each corner.
    corners = rng.integers(0, MAX_BACKGROUND, size=(2, 2, 3), dtype=np.uint8)
    picture = Image.fromarray(corners).resize((size_px, size_px), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(picture)

    shapes: list[tuple[Shape, BoxXywh]] = []
    for _ in range(rng.integers(1, MAX_SHAPES + 1)):
        # Sides are uniform on a logarithmic scale, so that small shapes are as frequent as large ones.
        shape = SHAPES[rng.integers(len(SHAPES))]
        side = math.exp(rng.uniform(math.log(MIN_SIZE_PX), math.log(MAX_SIZE_SHARE * size_px)))
        x, y = rng.uniform(0, size_px - side, size=2).round().tolist()

        # Dropped and not drawn again: a crowded image would take many tries. The first one always stands.
        box_xywh = (x, y, float(round(side)), float(round(side)))
        if all(_common_share(box_xywh, other) <= MAX_COMMON_SHARE for _, other in shapes):
            shapes.append((shape, box_xywh))

    # No shape is hidden, since the larger of two is drawn first.
    shapes.sort(key=_area, reverse=True)
    for shape, box_xywh in shapes:
        color = tuple(rng.integers(MIN_FOREGROUND, 256, size=3).tolist())
        _draw_shape(pen, shape, box_xywh, color)
    return picture, shapes


def visible_masks(shapes: Sequence[tuple[Shape, BoxXywh]], size_px: int) -> list[NDArray[np.bool_]]:
    """Return (S, S) of each shape, true where it is seen in the picture that `draw_image` returns with them."""
    numbers = Image.new("L", (size_px, size_px))
    pen = ImageDraw.Draw(numbers)
    for number, (shape, box_xywh) in enumerate(shapes, 1):
        _draw_shape(pen, shape, box_xywh, (number,))
    return [np.asarray(numbers) == number for number in range(1, len(shapes) + 1)]


def _draw_shape(pen: ImageDraw.ImageDraw, shape: Shape, box_xywh: BoxXywh, color: tuple[int, ...]) -> None:
    # Pillow's corners are inclusive.
    left, top, width, height = box_xywh
    right, bottom = left + width - 1, top + height - 1

    match shape:
        case "circle":
            pen.ellipse((left, top, right, bottom), fill=color)
        case "square":
            pen.rectangle((left, top, right, bottom), fill=color)
        case "triangle":
            pen.polygon(((left, bottom), (right, bottom), ((left + right) / 2, top)), fill=color)
        case _:
            assert_never(shape)


def _area(shape: tuple[Shape, BoxXywh]) -> float:
    return shape[1][2] * shape[1][3]


def _common_share(a: BoxXywh, b: BoxXywh) -> float:
    """Return the area that two boxes have in common, as a share of the larger box."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0) / max(a[2] * a[3], b[2] * b[3])


def _annotation(
    number: int, image: int, label: int, box_xywh: BoxXywh, mask: NDArray[np.bool_] | None
) -> dict[str, Any]:
    area = box_xywh[2] * box_xywh[3]
    annotation = {
        "id": number + 1,
        "image_id": image,
        "category_id": label + 1,
        "bbox": box_xywh,
        "area": area,
        "iscrowd": 0,
    }
    if mask is None:
        return annotation
    segmentation = {"size": list(mask.shape), "counts": encode_mask(mask).decode()}
    return {**annotation, "area": float(mask.sum()), "segmentation": segmentation}
