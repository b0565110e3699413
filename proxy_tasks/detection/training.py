"""The training loop."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.augment import augment
from proxy_tasks.detection.finite_watch import FiniteWatch
from proxy_tasks.detection.flat_parameters import flatten_groups
from proxy_tasks.detection.losses import detection_loss
from proxy_tasks.detection.optimization import make_optimizer, make_schedule
from proxy_tasks.detection.recipe import Recipe
from proxy_tasks.detection.weight_average import WeightAverage

_AUGMENTATION = 1
"""Part of the seed of augmentation, which keeps it apart from the order of the images."""


def train(
    network: nn.Module,
    batches: Iterable[Batch],
    anchors_xyxy: Tensor,
    recipe: Recipe,
    num_steps: int,
    *,
    bf16: bool,
    seed: int,
) -> NDArray[np.float64]:
    """Train a detector in place.

    Args:
        network: maps (B, 3, S, S) images to `RawDetections`.
        batches: `num_steps` of them, on the network's device.
        anchors_xyxy: (A, 4) the anchors that the network's outputs belong to.
        recipe: optimizer, schedule and augmentation; see `Recipe`.
        num_steps: the schedule's length.
        bf16: compute convolutions in bfloat16.
        seed: seed of the augmentation.

    Returns:
        (num_steps,) the loss of each step; fewer where there were fewer batches.

    Raises:
        NonFiniteLossError: a loss or gradient was infinite or not a number; the message names the step.
    """
    device = anchors_xyxy.device
    optimizer = make_optimizer(network, recipe)
    parameters = flatten_groups(optimizer)
    schedule = make_schedule(optimizer, recipe, num_steps)
    average = WeightAverage(parameters, recipe.ema_decay) if recipe.ema_decay else None
    watch = FiniteWatch(num_steps, device)

    # Losses stay on the device until the end: reading one would wait for its step.
    losses = torch.zeros(num_steps, device=device)
    num_taken = 0
    network.train()

    for step, batch in enumerate(batches):
        rng = np.random.default_rng([seed, step, _AUGMENTATION])
        batch = augment(batch, rng, flip=recipe.flip, jitter=recipe.jitter)

        # Convolutions alone may be in bfloat16; the loss is computed in float32.
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            raw = network(batch.images)
        loss = detection_loss(raw, batch, anchors_xyxy)

        optimizer.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so

        # Clip before the step: the reference bounds the norm over all parameters together.
        norm = nn.utils.clip_grad_norm_(parameters, recipe.gradient_clip_norm)
        optimizer.step()
        schedule.step()
        if average is not None:
            average.update(step)

        losses[step] = loss.detach()
        num_taken = step + 1
        watch.note(step, loss, norm)

    watch.finish()
    if average is not None:
        average.put_in_place()
    return losses[:num_taken].cpu().numpy().astype(np.float64)


def mean_of_parts(values: NDArray[np.float64], num_parts: int) -> tuple[float, ...]:
    """Return the mean, to five digits, of each of `num_parts` parts of (N,) values, as equal as can be; N if fewer."""
    parts = np.array_split(values, min(num_parts, len(values)))
    return tuple(float(f"{part.mean():.5g}") for part in parts)
