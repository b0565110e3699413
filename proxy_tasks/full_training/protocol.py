"""Training protocols: the published schedules of full trainings, as values."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from foundation import check_range
from proxy_tasks.classification.recipe import ClassRecipe
from proxy_tasks.training.recipe import Optimizer, Recipe, Schedule
from search_space import ModelScale

PUBLISHED_BATCH_SIZE = 256
"""The batch that published learning rates are for."""


@dataclass(frozen=True, slots=True)
class TrainingProtocol:
    """The numbers that steer a full training; those of the paper's protocols stand in `experiments/protocol/`.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step, over all processes.
        optimizer: see `Recipe`.
        learning_rate: the highest, for 256 images a step; other batches get their share of it.
        schedule: see `Recipe`.
        warmup_steps: steps over which `step` and `cosine` rise to the highest rate.
        warmup_rate: the rate that they begin with, for 256 images a step.
        decay_epochs: epochs before the end at which `step` falls to a tenth.
        weight_decay: on convolution kernels only.
        gradient_clip_norm: largest norm of all gradients together.
        flip: mirror half of the images.
        jitter: smallest and largest random scale.
        activation: of the network; None for that of its scale.
        stochastic_depth: see `ModelScale`; None for that of the scale.
        norm_momentum: share of the running statistics that a step keeps, as TensorFlow counts it.
        norm_epsilon: of the normalisation; None for that of the weights it starts from, or that of new networks.
        ema_decay: see `Recipe`; the statistics of the normalisation are averaged with the weights.
        classification: what only a classifier's training has; None in protocols for detectors.

    Raises:
        ValueError: a value out of range.

    Source: SpineNet (arXiv 1912.05027), section 4; tensorflow/tpu configs/spinenet.
    """

    epochs: float
    batch_size: int = PUBLISHED_BATCH_SIZE
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.28
    schedule: Schedule = "step"
    warmup_steps: int = 2000
    warmup_rate: float = 0.0067
    decay_epochs: tuple[float, ...] = (30.0, 10.0)
    weight_decay: float = 4e-5
    gradient_clip_norm: float = 10.0
    flip: bool = True
    jitter: tuple[float, float] = (0.5, 2.0)
    activation: Literal["relu", "silu"] | None = None
    stochastic_depth: float | None = None
    norm_momentum: float = 0.99
    norm_epsilon: float | None = None
    ema_decay: float | None = None
    classification: ClassRecipe | None = None

    def __post_init__(self) -> None:
        for name, value, low, high, reason in (
            ("epochs", self.epochs, 1e-6, 1e6, "no training of that many ends"),
            ("warmup_steps", self.warmup_steps, 1, 10**9, "the paper has 2000"),
            ("warmup_rate", self.warmup_rate, 1e-30, 1e30, "a training counts in 32-bit floating point"),
            ("norm_momentum", self.norm_momentum, 0, 0.999999, "statistics would never change"),
            (
                "norm_epsilon",
                1e-3 if self.norm_epsilon is None else self.norm_epsilon,
                1e-12,
                1,
                "a variance is about 1",
            ),
        ):
            check_range(name, value, low, high, reason)

        if self.warmup_rate > self.learning_rate:
            raise ValueError(
                f"warmup_rate rises to learning_rate, so it must not be higher, got {self.warmup_rate} "
                f"and {self.learning_rate}"
            )
        if self.schedule == "step" and not all(0 < before < self.epochs for before in self.decay_epochs):
            raise ValueError(
                f"decay_epochs must lie between 0 and epochs, as they count from the end, got "
                f"{list(self.decay_epochs)} with epochs={self.epochs:g}; schedule=cosine needs none"
            )

        # What both have is checked in one place; the number of images changes nothing in it.
        self._recipe(warmup_share=0.5, decay_shares=())
        self.scaled(ModelScale())

    def plain(self) -> dict[str, Any]:
        """Return all options by name as plain values; those that only classifiers have where they are given."""
        values = asdict(self)
        classification: dict[str, Any] = values.pop("classification") or {}
        values |= {f"classification.{name}": value for name, value in classification.items()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def num_steps(self, num_images: int) -> int:
        """Return the length of the training: whole batches in each epoch, as the reference counts them."""
        return max(1, round(self.epochs * self.steps_per_epoch(num_images)))

    def steps_per_epoch(self, num_images: int) -> int:
        """Return the steps of one epoch, 463 for COCO's 118,287 training images in batches of 256."""
        return math.ceil(num_images / self.batch_size)

    def recipe(self, num_images: int) -> Recipe:
        """Return the recipe of a training on that many images.

        Raises:
            ValueError: the warm-up is as long as the training, or ends after the rate is to fall.
        """
        num_steps = self.num_steps(num_images)
        per_epoch = self.steps_per_epoch(num_images)
        if self.schedule == "one_cycle":
            return self._recipe(warmup_share=0.5, decay_shares=())

        falls = [num_steps - round(before * per_epoch) for before in self.decay_epochs]
        first_fall = min([num_steps, *falls]) if self.schedule == "step" else num_steps
        if self.warmup_steps >= first_fall:
            raise ValueError(
                f"protocol.warmup_steps={self.warmup_steps} must be less than {first_fall}, the steps before the rate "
                f"falls: {num_images} images in batches of {self.batch_size} make {num_steps} steps"
            )

        shares = tuple(fall / num_steps for fall in falls) if self.schedule == "step" else ()
        return self._recipe(warmup_share=self.warmup_steps / num_steps, decay_shares=shares)

    def scaled(self, scale: ModelScale) -> ModelScale:
        """Return a scale with the activation and the stochastic depth that the protocol has."""
        return replace(
            scale,
            activation=self.activation or scale.activation,
            stochastic_depth=scale.stochastic_depth if self.stochastic_depth is None else self.stochastic_depth,
        )

    def _recipe(self, warmup_share: float, decay_shares: tuple[float, ...]) -> Recipe:
        return Recipe(
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate * self.batch_size / PUBLISHED_BATCH_SIZE,
            schedule=self.schedule,
            weight_decay=self.weight_decay,
            warmup_share=warmup_share,
            warmup_from=self.warmup_rate / self.learning_rate,
            decay_shares=decay_shares,
            gradient_clip_norm=self.gradient_clip_norm,
            flip=self.flip,
            jitter=self.jitter,
            ema_decay=self.ema_decay,
        )
