"""The training loop of the proxy: a network trained from its first step to its last."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from proxy_tasks.base import LossLimit
from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.box_objective import BoxObjective
from proxy_tasks.detection.graphed_gradients import REPLAYED, Launch
from proxy_tasks.training.loss_curve import limits_by_step, loss_curve
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
    loss_limits: Sequence[LossLimit] = (),
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
        loss_limits: losses above which the training ends.

    Returns:
        (num_steps,) the loss of each step; fewer where there were fewer batches, or a limit ended the training.

    Raises:
        NonFiniteLossError: a loss or gradient was infinite or not a number; the message names the step.
    """
    objective = BoxObjective(anchors_xyxy, recipe, bf16=bf16, launch=launch)
    steps = TrainingSteps(network, objective, recipe, num_steps, seed=seed)

    # Losses stay on the device until the end, or a limit: reading one waits for its step.
    losses = torch.zeros(num_steps, device=anchors_xyxy.device)
    limits = limits_by_step(loss_limits, num_steps)
    for batch in batches:
        loss = steps.take([batch], num_images=len(batch.images))
        losses[steps.num_taken - 1] = loss

        max_loss = limits.get(steps.num_taken)
        if max_loss is not None and loss_curve(_on_cpu(losses[: steps.num_taken]), num_steps)[-1] > max_loss:
            break

    steps.check_finite()
    steps.put_average_in_place()
    return _on_cpu(losses[: steps.num_taken])


def _on_cpu(losses: Tensor) -> NDArray[np.float64]:
    return losses.cpu().numpy().astype(np.float64)
