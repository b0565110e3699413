"""A training recipe: the numbers that steer a training."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from foundation import check_range

Optimizer: TypeAlias = Literal["sgd", "adamw"]
Schedule: TypeAlias = Literal["one_cycle", "step", "cosine"]

_FLOAT32 = "a training counts in 32-bit floating point"
"""Reason for the bounds of numbers that weights and gradients are multiplied by."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers that steer a training.

    Attributes:
        batch_size: images a step; 2 or more, as the coarsest feature may be one pixel and is normalised over the batch.
        optimizer: `sgd` has momentum 0.9; `adamw` converges in fewer steps and suits very short training.
        learning_rate: the highest.
        adamw_beta2: how much of its average of squared gradients AdamW keeps at each step. One of 0.999 spans a
            thousand steps: too many for a training of hundreds.
        schedule: `one_cycle` rises over the first 30 % and falls to nothing, while momentum (or AdamW's first beta)
            does the opposite between 0.95 and 0.85; `step` warms up and falls to a tenth and a
            hundredth near the end; `cosine` warms up and falls to nothing along half a wave.
        weight_decay: on convolution kernels only.
        warmup_share: share of the steps over which `step` and `cosine` warm up.
        warmup_from: share of the highest rate that the warm-up begins with; None for one step's part of it.
        decay_shares: shares of the steps after which `step` falls to a tenth.
        gradient_clip_norm: largest norm of all gradients together.
        flip: mirror half of the images.
        jitter: smallest and largest random scale.
        ema_decay: score an exponential moving average of the weights with this decay, less in the first steps; None for
            the weights themselves.

    Raises:
        ValueError: a value out of range.
    """

    batch_size: int = 16
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.08
    adamw_beta2: float = 0.999
    schedule: Schedule = "step"
    weight_decay: float = 4e-5
    warmup_share: float = 0.05
    decay_shares: tuple[float, ...] = (0.8, 0.95)
    gradient_clip_norm: float = 10.0
    flip: bool = True
    jitter: tuple[float, float] = (1.0, 1.0)
    ema_decay: float | None = None
    warmup_from: float | None = None

    def __post_init__(self) -> None:
        for name, word, words in (
            ("optimizer", self.optimizer, get_args(Optimizer)),
            ("schedule", self.schedule, get_args(Schedule)),
        ):
            if word not in words:
                raise ValueError(f"{name} must be {' or '.join(words)}, got {word!r}")

        # Batch normalisation in training needs two images.
        for name, value, low, high, reason in (
            ("batch_size", self.batch_size, 2, 65_536, "a batch is held in memory"),
            ("learning_rate", self.learning_rate, 1e-30, 1e30, _FLOAT32),
            ("gradient_clip_norm", self.gradient_clip_norm, 1e-30, 1e30, _FLOAT32),
            ("weight_decay", self.weight_decay, 0, 1e30, _FLOAT32),
            ("adamw_beta2", self.adamw_beta2, 0, 0.9999999, "an average must forget"),
        ):
            check_range(name, value, low, high, reason)

        if not all(0 < share < 1 for share in (self.warmup_share, *self.decay_shares)):
            raise ValueError("warmup_share and decay_shares must lie between 0 and 1")
        if not 0.01 <= self.jitter[0] <= self.jitter[1] <= 100:
            raise ValueError(
                f"jitter must be two rising factors from 0.01 to 100 (beyond, no image can be seen), "
                f"got {list(self.jitter)}"
            )
        if self.warmup_from is not None and not 0 < self.warmup_from <= 1:
            raise ValueError(f"warmup_from must be above 0 and at most 1, got {self.warmup_from}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay must lie between 0 and 1, got {self.ema_decay}")
