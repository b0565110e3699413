"""An embedded classification data set: one bright shape on a dim background in each image, a folder for each shape."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, assert_never, get_args

import numpy as np
from PIL import Image, ImageDraw

from foundation import check_range, check_seed
from proxy_tasks.base import Report
from proxy_tasks.classification.image_folder import ImageFolder
from proxy_tasks.coco.drawn_folder import draw_once
from proxy_tasks.coco.folder import CocoFolder, check_split
from proxy_tasks.coco.shapes import MAX_BACKGROUND, MIN_FOREGROUND

ClassShape: TypeAlias = Literal["circle", "cross", "square", "star", "triangle"]
CLASS_SHAPES: tuple[ClassShape, ...] = get_args(ClassShape)
MIN_SHARE, MAX_SHARE = 0.3, 0.8
"""Sides of the smallest and the largest shape, in sides of the image."""
_CROSS_WIDTH = 1 / 3
_STAR_INNER = 0.38
"""Radius of the inner corners of a star, in radii of the outer ones."""
_JPEG_QUALITY = 95
_DRAWN = ("num_train_images", "num_val_images", "image_size_px", "seed")


@dataclass(frozen=True, slots=True)
class ClassShapes:
    """An image folder that is drawn when it is first needed: as many images of each of five shapes.

    Attributes:
        root: folder to write.
        num_train_images: images in `train`, those held out for the reward included.
        num_val_images: images in `val`.
        image_size_px: height and width of every image.
        seed: seed of the drawing.
        num_held_out: see `CocoFolder`.
        split_seed: see `CocoFolder`.
    """

    root: Path
    num_train_images: int = 1000
    num_val_images: int = 500
    image_size_px: int = 64
    seed: int = 0
    num_held_out: int | float = 250
    split_seed: int = 0

    def __post_init__(self) -> None:
        check_split(self.num_held_out, self.split_seed)
        for name, number in (("num_train_images", self.num_train_images), ("num_val_images", self.num_val_images)):
            check_range(name, number, len(CLASS_SHAPES), 1_000_000, "one of each class at least, drawn one by one")
        check_range("image_size_px", self.image_size_px, 16, 4096, "a shape must be seen")
        check_seed("seed", self.seed)

    def folder(self, report: Report) -> CocoFolder:
        """Return the folder; draw it first if it is not there.

        Raises:
            InputError: it cannot be written, or another one has its name.
        """
        recipe = {name: getattr(self, name) for name in _DRAWN}
        draw_once(self.root, recipe, partial(self._draw, report=report))
        return ImageFolder(
            self.root, lists_dir=self.root / "lists", num_held_out=self.num_held_out, split_seed=self.split_seed
        ).folder(report)

    def _draw(self, folder: Path, report: Report) -> None:
        self._draw_split(folder / "train", 0, self.num_train_images, report)
        self._draw_split(folder / "val", 1, self.num_val_images, report)

    def _draw_split(self, folder: Path, split: int, num_images: int, report: Report) -> None:
        for i in range(num_images):
            shape = CLASS_SHAPES[i % len(CLASS_SHAPES)]
            (folder / shape).mkdir(parents=True, exist_ok=True)
            # A seed for each image: one more image changes none of the others.
            picture = draw_one(np.random.default_rng([self.seed, split, i]), shape, self.image_size_px)
            picture.save(folder / shape / f"{i:06d}.jpg", quality=_JPEG_QUALITY)
            report(f"drawing images to {folder.name}", i + 1, num_images)


def draw_one(rng: np.random.Generator, shape: ClassShape, size_px: int) -> Image.Image:
    """Draw one shape of any size, place, angle and colour."""
    corners = rng.integers(0, MAX_BACKGROUND, size=(2, 2, 3), dtype=np.uint8)
    picture = Image.fromarray(corners).resize((size_px, size_px), Image.Resampling.BILINEAR)

    side = size_px * rng.uniform(MIN_SHARE, MAX_SHARE)
    center = side / 2 + (size_px - side) * rng.uniform(size=2)
    angle = rng.uniform(-math.pi / 12, math.pi / 12)
    color = tuple(rng.integers(MIN_FOREGROUND, 256, size=3).tolist())

    corners_xy = [
        (center[0] + side / 2 * (x * math.cos(angle) - y * math.sin(angle)),
         center[1] + side / 2 * (x * math.sin(angle) + y * math.cos(angle)))
        for x, y in _outline(shape)
    ]  # fmt: skip
    ImageDraw.Draw(picture).polygon(corners_xy, fill=color)
    return picture


def _outline(shape: ClassShape) -> list[tuple[float, float]]:
    """Return the corners of a shape in a square from -1 to 1."""
    match shape:
        case "circle":
            return [(math.cos(t), math.sin(t)) for t in np.linspace(0, 2 * math.pi, 48, endpoint=False).tolist()]
        case "square":
            return [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]
        case "triangle":
            return [(-1, 0.9), (1, 0.9), (0, -1)]
        case "cross":
            w = _CROSS_WIDTH
            quarter = [(-w, -1), (w, -1), (w, -w)]
            return [_turned(corner, k) for k in range(4) for corner in quarter]
        case "star":
            radii = [1 if k % 2 == 0 else _STAR_INNER for k in range(10)]
            return [(r * math.sin(k * math.pi / 5), -r * math.cos(k * math.pi / 5)) for k, r in enumerate(radii)]
        case _:
            assert_never(shape)


def _turned(corner: tuple[float, float], quarters: int) -> tuple[float, float]:
    x, y = corner
    for _ in range(quarters):
        x, y = -y, x
    return x, y
