"""A full training from its first step, or its last checkpoint, to its end."""

import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from foundation import InputError
from proxy_tasks.coco.batches import training_rows
from proxy_tasks.coco.cache_files import stored_form
from proxy_tasks.full_training.checkpoint import DATA, Checkpoint, last_checkpoint, remove_unfinished, write_checkpoint
from proxy_tasks.full_training.failures import failures_in_one_line
from proxy_tasks.full_training.gathering import any_wants, first_does, gathered
from proxy_tasks.full_training.head import Trained
from proxy_tasks.full_training.head_names import HEADS, LAST
from proxy_tasks.full_training.heads import open_head
from proxy_tasks.full_training.plan import TrainingPlan
from proxy_tasks.full_training.synced_norm import synchronise
from proxy_tasks.networks.layers import NORM_EPSILON, set_norm_epsilon, set_norm_momentum
from proxy_tasks.runtime import pick_device, set_up_training, uses_bf16
from proxy_tasks.training.processes import Processes
from proxy_tasks.training.training_steps import TrainingSteps


@dataclass(frozen=True, slots=True)
class Standing:
    """Progress of a training.

    Attributes:
        step: steps that are done.
        num_steps: steps in all.
        epoch: passes over the data that are done.
        images_per_s: speed since the start of this process.
        seconds_left: time to the end at that speed.
        loss: mean over the steps since the last measurement.
        best: highest figure so far, of those that the head has the one that counts; None before the first measurement.
    """

    step: int
    num_steps: int
    epoch: float
    images_per_s: float
    seconds_left: float
    loss: float
    best: float | None


class Watch(Protocol):
    """Someone who follows a training; called in the first process alone."""

    def remark(self, text: str) -> None:
        """Hear of something that a person should know."""
        ...

    def started(self, step: int, num_steps: int, num_images: int, num_scored: int) -> None:
        """Hear where the training starts, of how many images, and how many objects are scored."""
        ...

    def step(self, standing: Callable[[], Standing]) -> None:
        """Hear of a step; asking how the training stands makes it wait for its device."""
        ...

    def evaluated(self, standing: Standing, metrics: dict[str, float], weights: str, *, is_best: bool) -> None:
        """Hear of a measurement."""
        ...


def train_in_full(plan: TrainingPlan, processes: Processes, watch: Watch, wants_stop: Callable[[], bool]) -> bool:
    """Train to the end, or until a process wants to stop; a checkpoint is written either way.

    Args:
        plan: what to train.
        processes: the processes that train together; each of them calls this.
        watch: hears how it goes, in the first process.
        wants_stop: says whether this process was told to stop.

    Returns:
        True where the training has come to its end.

    Raises:
        InputError: data, weights or checkpoints cannot be used, the training diverged, the GPU has too little memory
            or is lost, or the disk is full at its end.
    """
    device = pick_device(plan.device)
    set_up_training(device)
    with failures_in_one_line(device):
        return _Trainer(plan, processes, watch).run(wants_stop)


class _Trainer:
    def __init__(self, plan: TrainingPlan, processes: Processes, watch: Watch) -> None:
        self._plan, self._processes, self._watch = plan, processes, watch
        self._num_parts = num_parts_of(plan.protocol.batch_size, processes.count, plan.images_at_once)
        self._device = pick_device(plan.device)
        self._bf16 = uses_bf16(plan.precision, self._device.type)
        self._head = open_head(plan)
        self._words = HEADS[plan.head]

        num_images = len(self._head.data.full_train_rows)
        self._num_steps = plan.protocol.num_steps(num_images)
        self._per_epoch = plan.protocol.steps_per_epoch(num_images)
        try:
            recipe = plan.protocol.recipe(num_images)
            torch.manual_seed(plan.seed)
            network = self._head.build()
        except InputError:
            raise
        except ValueError as error:
            raise InputError(str(error)) from None
        self._weights_crc = None if plan.weights is None else zlib.crc32(plan.weights.read_bytes())

        epsilon = plan.protocol.norm_epsilon
        if epsilon is None:
            epsilon = NORM_EPSILON if self._head.start is None else self._head.start.norm_epsilon
        self._epsilon = epsilon
        set_norm_epsilon(network, self._epsilon)
        set_norm_momentum(network, plan.protocol.norm_momentum)
        if processes.count > 1:
            network = synchronise(network, self._device)
        self._network = network.to(self._device).to(memory_format=torch.channels_last)
        self._steps = TrainingSteps(
            self._network,
            self._head.objective(self._network, recipe, bf16=self._bf16),
            recipe,
            self._num_steps,
            seed=plan.seed,
            processes=processes,
            is_resumable=True,
        )

        # The losses since the last measurement, and the highest figure: a resumed training has them too.
        self._loss_sum = torch.zeros((), dtype=torch.float64)
        self._num_losses = 0
        self._best: float | None = None
        self._started_at_s, self._first_step = time.monotonic(), 0

    def run(self, wants_stop: Callable[[], bool]) -> bool:
        self._resume()
        if self._processes.is_first:
            num_images, num_scored = len(self._head.data.full_train_rows), self._head.num_scored
            self._watch.started(self._steps.num_taken, self._num_steps, num_images, num_scored)
            self._remark_start()

        self._started_at_s, self._first_step = time.monotonic(), self._steps.num_taken
        saved_at_s = time.monotonic()
        batches = self._parts()
        while self._steps.num_taken < self._num_steps:
            self._take(batches)
            if self._is_to_be_scored():
                self._evaluate()

            is_stopped = any_wants(self._processes, wants_stop())
            if is_stopped or self._steps.num_taken == self._num_steps:
                self._save()
                return not is_stopped or self._steps.num_taken == self._num_steps

            if self._processes.is_first and time.monotonic() - saved_at_s > self._plan.checkpoint_every_s:
                self._save_if_it_can()
                saved_at_s = time.monotonic()
        return True

    def _remark_start(self) -> None:
        """Say where little of the weights to start from is taken: a forgotten option would cost days."""
        start = self._head.start
        if start is not None and start.head != self._plan.head and self._steps.num_taken == 0:
            self._watch.remark(
                f"weights= are those of head={start.head}: head={self._plan.head} starts from their backbone, all else "
                "is new"
            )

    def _take(self, batches: Iterator[list[Any]]) -> None:
        batch_size = self._plan.protocol.batch_size
        first = int(self._processes.share(np.arange(batch_size))[0])
        loss = self._steps.take(next(batches), num_images=batch_size, first=first)
        self._loss_sum = self._loss_sum.to(loss.device) + loss.double()
        self._num_losses += 1
        if self._processes.is_first:
            self._watch.step(self._standing)

    def _parts(self) -> Iterator[list[Any]]:
        """Yield, for each step that is left, the images of this process in as many parts as they are to be taken in."""
        plan, step, rows = self._plan, self._steps.num_taken, self._head.data.full_train_rows
        orders = training_rows(rows, plan.protocol.batch_size, self._num_steps, plan.seed, first_step=step)
        parts = (part for order in orders for part in np.array_split(self._processes.share(order), self._num_parts))
        batches = self._head.batches(parts, self._device)
        for _ in range(step, self._num_steps):
            yield [next(batches) for _ in range(self._num_parts)]

    def _is_to_be_scored(self) -> bool:
        every = max(1, round(self._plan.validate_every * self._per_epoch))
        return self._steps.num_taken % every == 0 or self._steps.num_taken == self._num_steps

    def _evaluate(self) -> None:
        """Score the averaged weights, or the weights where there is no average, and keep the best."""
        self._steps.check_finite()
        self._steps.free_memory()
        own = self._processes.share(self._head.data.scored_rows)
        found: Any = None
        with self._steps.averaged():
            if len(own):
                found = self._head.find(self._network, own, bf16=self._bf16)
        self._network.train()

        parts = gathered(self._processes, found)
        if self._processes.is_first:
            self._note(self._head.metrics([part for part in parts if part is not None]))
        self._loss_sum, self._num_losses = torch.zeros((), dtype=torch.float64), 0

    def _note(self, metrics: dict[str, float]) -> None:
        """Tell of a measurement, and write the network where it is the best, or the last."""
        metrics["loss"] = self._standing().loss
        is_best = self._best is None or metrics[self._words.metric] > self._best
        is_last = self._steps.num_taken == self._num_steps
        names = [name for name, is_due in ((self._words.file, is_best), (LAST, is_last)) if is_due]
        trained = self._trained(metrics)
        try:
            for name in names:
                self._head.save(self._plan.run / name, trained)
        except InputError as error:
            # A full disk is an error at the end alone; until then the next measurement above the best that is kept is.
            if is_last:
                raise
            is_best = False
            self._watch.remark(f"the weights at step {self._steps.num_taken} are not kept: {error}")
        if is_best:
            self._best = metrics[self._words.metric]
        which = "raw" if trained.averaged is None else "averaged"
        self._watch.evaluated(self._standing(), metrics, which, is_best=is_best)

    def _trained(self, metrics: dict[str, float]) -> Trained:
        plan = self._plan
        return Trained(
            raw=self._steps.network_state(),
            averaged=self._steps.averaged_state(),
            norm_epsilon=self._epsilon,
            recipe={**plan.protocol.plain(), "seed": plan.seed, "step": self._steps.num_taken},
            metrics=metrics,
        )

    def _standing(self) -> Standing:
        step, seconds = self._steps.num_taken, time.monotonic() - self._started_at_s
        num_taken = max(1, step - self._first_step)
        return Standing(
            step=step,
            num_steps=self._num_steps,
            epoch=step / self._per_epoch,
            images_per_s=num_taken * self._plan.protocol.batch_size / max(seconds, 1e-9),
            seconds_left=(self._num_steps - step) * seconds / num_taken,
            loss=float(self._loss_sum) / max(1, self._num_losses),
            best=self._best,
        )

    def _resume(self) -> None:
        """Continue from the last checkpoint, which the first process reads for all."""

        def read() -> Checkpoint | None:
            remove_unfinished(self._plan.run)
            return last_checkpoint(self._plan.run, self._options())

        found = first_does(self._processes, read)
        if found is None:
            return
        content = dict(found.content)
        self._steps.restore(content["steps"])
        self._loss_sum, self._num_losses = content["loss_sum"], content["num_losses"]
        self._best = content[self._best_name]
        if found.remark and self._processes.is_first:
            self._watch.remark(found.remark)

    @property
    def _best_name(self) -> str:
        return f"best_{self._words.metric}"

    def _options(self) -> dict[str, Any]:
        rows = self._head.data.full_train_rows
        names = [str(name) for name in self._head.data.train.annotations.category_names]
        content = self._plan.data.content
        _, longest_side_px = stored_form(self._plan.data.image_size_px, self._plan.data.cache_format)
        return {
            **self._plan.options(),
            "classes": names,
            "weights": self._weights_crc,
            # Where the data lies may change, its content not; nor which of its images are trained on.
            DATA: {} if content is None else content.parts(),
            "images": f"{len(rows)} ({zlib.crc32(rows.tobytes()):08x})",
            "longest_side_px": longest_side_px,
        }

    def _save(self) -> None:
        if self._processes.is_first:
            content = {
                "steps": self._steps.state(),
                "loss_sum": self._loss_sum.cpu(),
                "num_losses": self._num_losses,
                self._best_name: self._best,
                "num_processes": self._processes.count,
            }
            write_checkpoint(self._plan.run, Checkpoint(self._steps.num_taken, self._options(), content))

    def _save_if_it_can(self) -> None:
        """Write a checkpoint; where the disk is full, the one before stays, and the training goes on."""
        try:
            self._save()
        except InputError as error:
            self._watch.remark(f"no checkpoint at step {self._steps.num_taken}, the one before stays: {error}")


def num_parts_of(batch_size: int, num_processes: int, images_at_once: int | None) -> int:
    """Return in how many parts each process takes its share of a batch.

    Raises:
        InputError: there are more processes than images, or shares that differ by one make other numbers of parts:
            normalisation is synchronised in each part.
    """
    if num_processes > batch_size:
        raise InputError(
            f"protocol.batch_size={batch_size} is less than the number of processes, {num_processes}: each takes an "
            "image at least"
        )
    if images_at_once is None:
        return 1

    shares = batch_size // num_processes, -(-batch_size // num_processes)
    fewest, most = (-(-share // images_at_once) for share in shares)
    if fewest != most:
        raise InputError(
            f"images_at_once={images_at_once}: {num_processes} processes take {batch_size} images in {fewest} or "
            f"{most} parts, and all need as many; try images_at_once={-(-shares[1] // most)}"
        )
    return most
