"""The optimizer and the learning rate schedule that follow from a recipe."""

from typing import assert_never

import torch
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    SequentialLR,
)

from proxy_tasks.training.recipe import Recipe

_MOMENTUM = 0.9


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer; weight decay acts on kernels, not on biases and normalisation."""
    # Kernels have more than one dimension; biases and normalisation have one.
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": kernels, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]

    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=_MOMENTUM, fused=True)
        case "adamw":
            betas = (_MOMENTUM, recipe.adamw_beta2)
            return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=betas, fused=True)
        case _:
            assert_never(recipe.optimizer)


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, num_steps: int) -> LRScheduler:
    """Return the schedule, to be stepped after every optimizer step."""
    num_warmup = max(1, round(recipe.warmup_share * num_steps))
    falling: LRScheduler

    match recipe.schedule:
        case "one_cycle":
            return OneCycleLR(optimizer, recipe.learning_rate, total_steps=num_steps + 1)
        case "cosine":
            falling = CosineAnnealingLR(optimizer, max(1, num_steps - num_warmup))
        case "step":
            # Counted from the end of the warm-up, as the schedules below are.
            falls = [max(1, round(share * num_steps) - num_warmup) for share in recipe.decay_shares]
            falling = MultiStepLR(optimizer, falls)
        case _:
            assert_never(recipe.schedule)

    begins_with = 1 / num_warmup if recipe.warmup_from is None else recipe.warmup_from
    rising = LinearLR(optimizer, begins_with, total_iters=num_warmup)
    return SequentialLR(optimizer, [rising, falling], milestones=[num_warmup])
