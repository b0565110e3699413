"""Crops: distributed as torchvision's, inside their image, and resampled as Pillow resamples."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop

from proxy_tasks.classification.crops import (
    NUM_DRAWN,
    Crop,
    center_crop,
    draw_crops,
    rand_augmented,
    random_crop,
    take_crop,
)
from proxy_tasks.classification.recipe import ClassRecipe


@pytest.mark.parametrize(("height", "width"), [(60, 80), (40, 400)])
def test_random_crops_are_distributed_as_torchvision_s(height: int, width: int) -> None:
    recipe = ClassRecipe()
    drawn = draw_crops(np.random.default_rng(0), 4000)
    own = np.array([random_crop(height, width, one, recipe, flip=True)[:4] for one in drawn.T])
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    scale, ratio = list(recipe.crop_area), list(recipe.crop_ratio)
    theirs = np.array([RandomResizedCrop.get_params(image, scale, ratio) for _ in range(4000)])

    assert (own[:, :2] >= 0).all()
    assert (own[:, :2] + own[:, 2:] <= (height, width)).all()
    # Quarter points of place and size; each of 4000 has a deviation of about 0.01 of the side.
    for share in (0.25, 0.5, 0.75):
        difference = np.quantile(own, share, axis=0) - np.quantile(theirs, share, axis=0)
        assert (np.abs(difference) <= np.array([height, width] * 2) * 0.04 + 1).all()


def test_half_of_the_crops_are_mirrored_where_that_is_asked_for() -> None:
    drawn = draw_crops(np.random.default_rng(0), 1000)
    flips = [
        sum(random_crop(9, 9, one, ClassRecipe(), flip=flip).is_mirrored for one in drawn.T) for flip in (True, False)
    ]
    assert 430 < flips[0] < 570
    assert flips[1] == 0
    assert drawn.shape == (NUM_DRAWN, 1000)


@pytest.mark.parametrize("crop", [Crop(3, 5, 20, 30), Crop(0, 0, 40, 50, is_mirrored=True)])
def test_a_crop_is_one_resampling_of_the_image_as_pillow_does_it(crop: Crop) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    found = take_crop(torch.from_numpy(image), crop, 16)
    box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
    scaled = Image.fromarray(image).crop(box).resize((16, 16), Image.Resampling.BILINEAR)
    expected = np.asarray(scaled).astype(np.float32)
    # Pillow rounds to whole levels, twice.
    assert np.abs(found.numpy() - (expected[:, ::-1] if crop.is_mirrored else expected)).max() <= 1


def test_the_middle_is_scored() -> None:
    assert center_crop(256, 320) == Crop(16, 48, 224, 224)
    assert center_crop(1, 1) == Crop(0, 0, 1, 1)


def test_rand_augment_follows_from_its_seed_and_leaves_other_draws_alone() -> None:
    levels = torch.rand(24, 24, 3) * 255
    recipe = ClassRecipe(rand_augment=9)
    before = torch.get_rng_state()
    first, second = (rand_augmented(levels, recipe, seed) for seed in (3, 3))
    others = [rand_augmented(levels, recipe, seed) for seed in range(5)]
    assert torch.equal(first, second)
    assert any(not torch.equal(first, other) for other in others)
    assert torch.equal(before, torch.get_rng_state())
    assert rand_augmented(levels, ClassRecipe(), 3) is levels
