"""Training images as the network sees them, to look at: resized, augmented, with the boxes that are to be found."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from proxy_tasks.coco.batch_reading import read_batches
from proxy_tasks.coco.batches import IMAGENET, training_rows
from proxy_tasks.coco.open_data import DataOptions, open_data
from proxy_tasks.detection.augment import augment, draw_augmentation
from proxy_tasks.training.recipe import Recipe
from proxy_tasks.training_sample import TrainingSample


def training_samples(options: DataOptions, recipe: Recipe, num_images: int, *, seed: int) -> tuple[TrainingSample, ...]:
    """Return the first images of a training; see `SampleTask.training_samples`.

    Their order is that of a training with this seed. Flips and scales are drawn for all of them at once, by which they
    are not those of a training with smaller batches.
    """
    data = open_data(options)
    num_images = min(num_images, len(data.train_rows))
    steps = training_rows(data.train_rows, num_images, 1, seed)
    batch = next(iter(read_batches(data.train, steps, torch.device("cpu"))))

    drawn = draw_augmentation(np.random.default_rng(seed), num_images)
    batch = augment(batch, drawn, flip=recipe.flip, jitter=recipe.jitter)
    pixels = _pixels(batch.images, batch.sizes_px)
    names = data.train.annotations.category_names

    samples = []
    for number in range(num_images):
        of_image = (batch.image == number) & (batch.labels >= 0)
        labels = batch.labels[of_image].numpy()
        boxes_xyxy = batch.boxes_xyxy[of_image].numpy()
        samples.append(TrainingSample(pixels[number], boxes_xyxy, labels, tuple(names[label] for label in labels)))
    return tuple(samples)


def _pixels(images: Tensor, sizes_px: Tensor) -> NDArray[np.uint8]:
    """Return (B, S, S, 3) levels of (B, 3, S, S) normalised images, the padding black."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET.mean, IMAGENET.std))
    levels = ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)

    number = torch.arange(images.shape[-1])
    is_row, is_column = number < sizes_px[:, :1], number < sizes_px[:, 1:]
    inside = is_row[:, None, :, None] & is_column[:, None, None, :]  # (B, 1, S, S)
    return (levels * inside).permute(0, 2, 3, 1).contiguous().numpy()
