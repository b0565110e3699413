"""The training loop of the proxies: a network trained from its first step to its last."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from proxy_tasks.base import LossLimit
from proxy_tasks.training.loss_curve import limits_by_step, loss_curve
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
    loss_limits: Sequence[LossLimit] = (),
) -> NDArray[np.float64]:
    """Train a network in place.

    Args:
        network: on its device.
        objective: what its steps minimise.
        batches: `num_steps` of them, on the network's device.
        recipe: optimizer and schedule; see `Recipe`.
        num_steps: the schedule's length.
        seed: seed of the augmentation.
        loss_limits: losses above which the training ends.

    Returns:
        (num_steps,) the loss of each step; fewer where there were fewer batches, or a limit ended the training.

    Raises:
        NonFiniteLossError: a loss or gradient was infinite or not a number; the message names the step.
    """
    steps = TrainingSteps(network, objective, recipe, num_steps, seed=seed)

    # Losses stay on the device until the end, or a limit: reading one waits for its step.
    losses = torch.zeros(num_steps, device=next(network.parameters()).device)
    limits = limits_by_step(loss_limits, num_steps)
    for batch in batches:
        loss = steps.take([batch], num_images=batch.num_images)
        losses[steps.num_taken - 1] = loss

        max_loss = limits.get(steps.num_taken)
        if max_loss is not None and loss_curve(_on_cpu(losses[: steps.num_taken]), num_steps)[-1] > max_loss:
            break

    steps.check_finite()
    steps.put_average_in_place()
    return _on_cpu(losses[: steps.num_taken])


def _on_cpu(losses: Tensor) -> NDArray[np.float64]:
    return losses.cpu().numpy().astype(np.float64)
