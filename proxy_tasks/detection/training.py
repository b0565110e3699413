"""The training loop of the proxy: a network trained from its first step to its last."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.box_objective import BoxObjective
from proxy_tasks.detection.graphed_gradients import REPLAYED, Launch
from proxy_tasks.training.recipe import Recipe
from proxy_tasks.training.training_steps import TrainingSteps


def train(
    network: nn.Module,
    batches: Iterable[Batch],
    anchors_xyxy: Tensor,
    recipe: Recipe,
    num_steps: int,
    *,
    bf16: bool,
    seed: int,
    launch: Launch = REPLAYED,
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
        launch: the way in which a step on a GPU is launched.

    Returns:
        (num_steps,) the loss of each step; fewer where there were fewer batches.

    Raises:
        NonFiniteLossError: a loss or gradient was infinite or not a number; the message names the step.
    """
    objective = BoxObjective(anchors_xyxy, recipe, bf16=bf16, launch=launch)
    steps = TrainingSteps(network, objective, recipe, num_steps, seed=seed)

    # Losses stay on the device until the end: reading one would wait for its step.
    losses = torch.zeros(num_steps, device=anchors_xyxy.device)
    for batch in batches:
        loss = steps.take([batch], num_images=len(batch.images))
        losses[steps.num_taken - 1] = loss

    steps.check_finite()
    steps.put_average_in_place()
    return losses[: steps.num_taken].cpu().numpy().astype(np.float64)


def mean_of_parts(values: NDArray[np.float64], num_parts: int) -> tuple[float, ...]:
    """Return the mean, to five digits, of each of `num_parts` parts of (N,) values, as equal as can be; N if fewer."""
    parts = np.array_split(values, min(num_parts, len(values)))
    return tuple(float(f"{part.mean():.5g}") for part in parts)
