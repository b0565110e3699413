"""The training loop of the proxies: a network trained from its first step to its last."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from proxy_tasks.training.objective import Objective, Part, Ready
from proxy_tasks.training.recipe import Recipe
from proxy_tasks.training.training_steps import TrainingSteps


def train(
    network: nn.Module,
    objective: Objective[Part, Ready],
    batches: Iterable[Part],
    recipe: Recipe,
    num_steps: int,
    *,
    seed: int,
) -> NDArray[np.float64]:
    """Train a network in place.

    Args:
        network: on its device.
        objective: what its steps minimise.
        batches: `num_steps` of them, on the network's device.
        recipe: optimizer and schedule; see `Recipe`.
        num_steps: the schedule's length.
        seed: seed of the augmentation.

    Returns:
        (num_steps,) the loss of each step; fewer where there were fewer batches.

    Raises:
        NonFiniteLossError: a loss or gradient was infinite or not a number; the message names the step.
    """
    steps = TrainingSteps(network, objective, recipe, num_steps, seed=seed)

    # Losses stay on the device until the end: reading one would wait for its step.
    losses = torch.zeros(num_steps, device=next(network.parameters()).device)
    for batch in batches:
        loss = steps.take([batch], num_images=batch.num_images)
        losses[steps.num_taken - 1] = loss

    steps.check_finite()
    steps.put_average_in_place()
    return losses[: steps.num_taken].cpu().numpy().astype(np.float64)


def mean_of_parts(values: NDArray[np.float64], num_parts: int) -> tuple[float, ...]:
    """Return the mean, to five digits, of each of `num_parts` parts of (N,) values, as equal as can be; N if fewer."""
    parts = np.array_split(values, min(num_parts, len(values)))
    return tuple(float(f"{part.mean():.5g}") for part in parts)
