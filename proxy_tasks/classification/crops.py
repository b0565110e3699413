"""Crops of images for a classifier: at random to train on, of the middle to score; each is one resampling."""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from proxy_tasks.classification.recipe import ClassRecipe

CENTER_SHARE = 0.875
"""Side of the crop that is scored, in short sides of the image: 224 of 256, as is customary, and in tensorflow/tpu."""
_NUM_TRIES = 10
NUM_DRAWN = 4 * _NUM_TRIES + 1
"""Numbers that are drawn for each image: four for each try, and one for the flip."""


class Crop(NamedTuple):
    """A part of an image in pixels, and whether it is mirrored."""

    top: int
    left: int
    height: int
    width: int
    is_mirrored: bool = False


def draw_crops(rng: np.random.Generator, num_images: int) -> NDArray[np.float64]:
    """Return (`NUM_DRAWN`, num_images) uniform numbers that decide the crops of a step."""
    return rng.random((NUM_DRAWN, num_images))


def random_crop(height: int, width: int, drawn: NDArray[np.float64], recipe: ClassRecipe, *, flip: bool) -> Crop:
    """Return a crop of a random area and ratio, at a random place.

    The area is uniform, and so is the logarithm of the ratio. One that does not fit is drawn again, up to ten times;
    then the largest crop of the middle is taken whose ratio is allowed.

    Args:
        height: of the image.
        width: of the image.
        drawn: (`NUM_DRAWN`,) uniform numbers.
        recipe: bounds of area and ratio.
        flip: mirror half of the crops.

    Source: torchvision.transforms.RandomResizedCrop.
    """
    is_mirrored = bool(flip and drawn[-1] < 0.5)
    low, high = (math.log(ratio) for ratio in recipe.crop_ratio)
    smallest, largest = recipe.crop_area
    for area_share, ratio_share, y, x in drawn[:-1].reshape(-1, 4).tolist():
        area = height * width * (smallest + (largest - smallest) * area_share)
        ratio = math.exp(low + (high - low) * ratio_share)
        h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < h <= height and 0 < w <= width:
            return Crop(int(y * (height - h + 1)), int(x * (width - w + 1)), h, w, is_mirrored)

    w = min(width, round(height * recipe.crop_ratio[1]))
    h = min(height, round(width / recipe.crop_ratio[0]))
    h, w = max(1, h), max(1, w)
    return Crop((height - h) // 2, (width - w) // 2, h, w, is_mirrored)


def center_crop(height: int, width: int) -> Crop:
    """Return the square in the middle that images are scored by."""
    side = max(1, round(CENTER_SHARE * min(height, width)))
    return Crop((height - side) // 2, (width - side) // 2, side, side)


def take_crop(image: Tensor, crop: Crop, size_px: int) -> Tensor:
    """Return a crop of an (H, W, 3) image of bytes as (S, S, 3) float32 levels from 0 to 255."""
    kept = image[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]  # (h, w, 3)
    planes = kept.permute(2, 0, 1)[None].float()  # (1, 3, h, w)
    scaled = F.interpolate(planes, size=(size_px, size_px), mode="bilinear", antialias=True)[0]
    # Antialiasing rounds its weights: white may come out a hair above white.
    scaled = scaled.clamp(0, 255)
    return (scaled.flip(-1) if crop.is_mirrored else scaled).permute(1, 2, 0)


def rand_augmented(levels: Tensor, recipe: ClassRecipe, seed: int) -> Tensor:
    """Return (S, S, 3) levels after RandAugment, which is torchvision's; its draws follow from the seed alone."""
    if recipe.rand_augment is None:
        return levels
    from torchvision.transforms import RandAugment

    augment = RandAugment(recipe.rand_augment_ops, recipe.rand_augment)
    planes = levels.permute(2, 0, 1).round().to(torch.uint8)  # (3, S, S)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        augmented: Tensor = augment(planes)
    return augmented.permute(1, 2, 0).float()
