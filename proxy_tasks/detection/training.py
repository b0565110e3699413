"""The training loop, and the numbers that steer it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    SequentialLR,
)

from proxy_tasks.base import NonFiniteLossError
from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.augment import augment
from proxy_tasks.detection.losses import detection_loss

_AUGMENTATION = 1
"""Tells the draws of augmentation from those of the order of the images."""
_CHECK_EVERY = 20
"""Steps between looks at whether the loss was finite."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained.

    Attributes:
        batch_size: images a step; 2 or more, as the coarsest feature may be one pixel and is normalised over the batch.
        optimizer: `sgd` has momentum 0.9; `adamw` converges in fewer steps and suits very short training.
        learning_rate: the highest.
        schedule: `one_cycle` rises over the first 30 % and falls to nothing, while momentum (or AdamW's first beta)
            does the opposite between 0.95 and 0.85; `step` warms up and falls to a tenth and a
            hundredth near the end; `cosine` warms up and falls to nothing along half a wave.
        weight_decay: on convolution kernels only.
        warmup_share: share of the steps over which `step` and `cosine` warm up.
        decay_shares: shares of the steps after which `step` falls to a tenth.
        gradient_clip_norm: largest norm of all gradients together.
        flip: mirror half of the images.
        jitter: smallest and largest random scale.
        ema_decay: score an exponential moving average of the weights with this decay, less in the first steps; None for
            the weights themselves.
    """

    batch_size: int = 16
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.08
    schedule: Literal["one_cycle", "step", "cosine"] = "step"
    weight_decay: float = 4e-5
    warmup_share: float = 0.05
    decay_shares: tuple[float, ...] = (0.8, 0.95)
    gradient_clip_norm: float = 10.0
    flip: bool = True
    jitter: tuple[float, float] = (1.0, 1.0)
    ema_decay: float | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be 2 or more, got {self.batch_size}")
        for name, value in (("learning_rate", self.learning_rate), ("gradient_clip_norm", self.gradient_clip_norm)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be a number above 0, got {value}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must be a number from 0, got {self.weight_decay}")
        if not all(0 < share < 1 for share in (self.warmup_share, *self.decay_shares)):
            raise ValueError("warmup_share and decay_shares must lie between 0 and 1")
        if not 0 < self.jitter[0] <= self.jitter[1] < math.inf:
            raise ValueError(f"jitter must be two rising factors above 0, got {list(self.jitter)}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay must lie between 0 and 1, got {self.ema_decay}")


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
        recipe: see there.
        num_steps: the schedule's length.
        bf16: compute convolutions in bfloat16.
        seed: of the augmentation.

    Returns:
        (num_steps,) the loss of each step; fewer where there were fewer batches.

    Raises:
        NonFiniteLossError: a loss or gradient was infinite or not a number; the message names the step.
    """
    device = anchors_xyxy.device
    optimizer = make_optimizer(network, recipe)
    schedule = make_schedule(optimizer, recipe, num_steps)
    average = [p.detach().clone() for p in network.parameters()] if recipe.ema_decay else []
    first_bad = torch.full((), -1, device=device)
    first_bad_seen = torch.full((), -1, pin_memory=device.type == "cuda")
    losses = torch.zeros(num_steps, device=device)
    num_taken = 0
    network.train()
    for step, batch in enumerate(batches):
        rng = np.random.default_rng([seed, step, _AUGMENTATION])
        batch = augment(batch, rng, flip=recipe.flip, jitter=recipe.jitter)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            raw = network(batch.images)
        loss = detection_loss(raw, batch, anchors_xyxy)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
        norm = nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_clip_norm)
        optimizer.step()
        schedule.step()
        if recipe.ema_decay:
            # As TensorFlow does: the first steps count less, so that the average forgets the random start.
            decay = min(recipe.ema_decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(average, [p.detach() for p in network.parameters()], 1 - decay)
        losses[step] = loss.detach()
        num_taken = step + 1
        # Kept on the device, and looked at without waiting: what has arrived of the last copy tells of earlier steps.
        first_bad = torch.where((first_bad < 0) & ~(loss.isfinite() & norm.isfinite()), step, first_bad)
        if step % _CHECK_EVERY == 0:
            first_bad_seen.copy_(first_bad, non_blocking=True)
            _check_finite(int(first_bad_seen), num_steps)
    _check_finite(int(first_bad), num_steps)
    with torch.no_grad():
        for p, averaged in zip(network.parameters(), average, strict=False):
            p.copy_(averaged)
    return losses[:num_taken].cpu().numpy().astype(np.float64)


def _check_finite(first_bad: int, num_steps: int) -> None:
    if first_bad >= 0:
        raise NonFiniteLossError(f"the loss or its gradient was not finite at step {first_bad} of {num_steps}")


def mean_of_parts(values: NDArray[np.float64], num_parts: int) -> tuple[float, ...]:
    """Return the mean, to five digits, of each of `num_parts` parts of (N,) values, as equal as can be; N if fewer."""
    parts = np.array_split(values, min(num_parts, len(values)))
    return tuple(float(f"{part.mean():.5g}") for part in parts)


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer; weight decay acts on kernels, not on biases and normalisation."""
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": kernels, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, fused=True)


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, num_steps: int) -> LRScheduler:
    """Return the schedule, to be stepped after every optimizer step."""
    if recipe.schedule == "one_cycle":
        return OneCycleLR(optimizer, recipe.learning_rate, total_steps=num_steps + 1)
    num_warmup = max(1, round(recipe.warmup_share * num_steps))
    if recipe.schedule == "cosine":
        falling: LRScheduler = CosineAnnealingLR(optimizer, max(1, num_steps - num_warmup))
    else:
        falling = MultiStepLR(
            optimizer, [max(1, round(share * num_steps) - num_warmup) for share in recipe.decay_shares]
        )
    return SequentialLR(
        optimizer, [LinearLR(optimizer, 1 / num_warmup, total_iters=num_warmup), falling], milestones=[num_warmup]
    )
