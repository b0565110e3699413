"""A full training from its first step, or its last checkpoint, to its end."""

import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foundation import InputError
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.batches import training_rows
from proxy_tasks.coco.cache_files import stored_form
from proxy_tasks.coco.originals import Originals
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.batch_reading import read_originals
from proxy_tasks.detection.detector_file import Category, DetectorInfo, read_detector, save_detector
from proxy_tasks.detection.inference import detect_all
from proxy_tasks.detection.open_data import OpenData, open_data
from proxy_tasks.detection.processes import Processes
from proxy_tasks.detection.scoring import ScoredBoxes, score
from proxy_tasks.detection.training_steps import TrainingSteps
from proxy_tasks.full_training.checkpoint import DATA, Checkpoint, last_checkpoint, remove_unfinished, write_checkpoint
from proxy_tasks.full_training.failures import failures_in_one_line
from proxy_tasks.full_training.gathering import any_wants, first_does, gathered
from proxy_tasks.full_training.plan import TrainingPlan
from proxy_tasks.full_training.starting_weights import start_from
from proxy_tasks.full_training.synced_norm import synchronise
from proxy_tasks.networks.layers import NORM_EPSILON, Reference, set_norm_epsilon
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.runtime import pick_device, set_up_training, uses_bf16

BEST, LAST = "detector.pt", "last.pt"
"""Files of the detector with the highest AP so far, and of the one after the last step."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Progress of a training.

    Attributes:
        step: steps that are done.
        num_steps: steps in all.
        epoch: passes over the data that are done.
        images_per_s: speed since the start of this process.
        seconds_left: time to the end at that speed.
        loss: mean over the steps since the last measurement of AP.
        ap: highest AP so far; None before the first measurement.
    """

    step: int
    num_steps: int
    epoch: float
    images_per_s: float
    seconds_left: float
    loss: float
    ap: float | None


class Watch(Protocol):
    """Someone who follows a training; called in the first process alone."""

    def remark(self, text: str) -> None:
        """Hear of something that a person should know."""
        ...

    def started(self, step: int, num_steps: int, num_images: int, num_scored_objects: int) -> None:
        """Hear where the training starts, of how many images, and how many objects AP is measured on."""
        ...

    def step(self, standing: Callable[[], Standing]) -> None:
        """Hear of a step; asking how the training stands makes it wait for its device."""
        ...

    def evaluated(self, standing: Standing, metrics: dict[str, float], weights: str, *, is_best: bool) -> None:
        """Hear of a measurement of AP."""
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
        self._data = open_data(plan.data)
        self._rows = rows_to_train_on(self._data)

        num_images = len(self._rows)
        self._num_steps = plan.protocol.num_steps(num_images)
        self._per_epoch = plan.protocol.steps_per_epoch(num_images)
        try:
            recipe = plan.protocol.recipe(num_images)
            found = None if plan.weights is None else read_detector(plan.weights)
            self._reference: Reference = "tpu" if found is None else found.info.reference
            torch.manual_seed(plan.seed)
            network: nn.Module = build_detector(plan.architecture, plan.scale, self._data.num_classes, self._reference)
        except InputError:
            raise
        except ValueError as error:
            raise InputError(str(error)) from None

        # What answers are read by stays that of the weights, so that a training begins at their AP.
        self._counts_last_pixel = found is not None and found.info.counts_last_pixel
        self._candidates_per_class = found is not None and found.info.candidates_per_class
        self._weights_crc = None
        epsilon = NORM_EPSILON
        if plan.weights is not None and found is not None:
            names = tuple(str(name) for name in self._data.train.annotations.category_names)
            start_from(network, found, plan.weights, names)
            self._weights_crc = zlib.crc32(plan.weights.read_bytes())
            epsilon = found.info.norm_epsilon

        self._epsilon = epsilon if plan.protocol.norm_epsilon is None else plan.protocol.norm_epsilon
        set_norm_epsilon(network, self._epsilon)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1 - plan.protocol.norm_momentum
        if processes.count > 1:
            network = synchronise(network, self._device)
        self._network = network.to(self._device).to(memory_format=torch.channels_last)

        levels = network.output_levels
        size, anchor_scale = plan.scale.image_size_px, plan.scale.anchor_scale
        self._anchors = make_anchors(levels, size, anchor_scale, self._device)  # type: ignore[arg-type]  # of RetinaNet
        self._steps = TrainingSteps(
            self._network,
            self._anchors,
            recipe,
            self._num_steps,
            bf16=self._bf16,
            seed=plan.seed,
            processes=processes,
            is_resumable=True,
        )

        # The losses since the last measurement of AP, and the highest AP: a resumed training has them too.
        self._loss_sum = torch.zeros((), dtype=torch.float64)
        self._num_losses = 0
        self._best_ap: float | None = None
        self._started_at_s, self._first_step = time.monotonic(), 0

    def run(self, wants_stop: Callable[[], bool]) -> bool:
        self._resume()
        if self._processes.is_first:
            num_objects = _num_objects(self._data.scored.annotations, self._data.scored_rows)
            self._watch.started(self._steps.num_taken, self._num_steps, len(self._rows), num_objects)

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

    def _take(self, batches: Iterator[list[Originals]]) -> None:
        batch_size = self._plan.protocol.batch_size
        first = int(self._processes.share(np.arange(batch_size))[0])
        loss = self._steps.take(next(batches), num_images=batch_size, first=first)
        self._loss_sum = self._loss_sum.to(loss.device) + loss.double()
        self._num_losses += 1
        if self._processes.is_first:
            self._watch.step(self._standing)

    def _parts(self) -> Iterator[list[Originals]]:
        """Yield, for each step that is left, the images of this process in as many parts as they are to be taken in."""
        plan, step = self._plan, self._steps.num_taken
        orders = training_rows(self._rows, plan.protocol.batch_size, self._num_steps, plan.seed, first_step=step)
        parts = (part for rows in orders for part in np.array_split(self._processes.share(rows), self._num_parts))
        batches = read_originals(self._data.train, parts, self._device)
        for _ in range(step, self._num_steps):
            yield [next(batches) for _ in range(self._num_parts)]

    def _is_to_be_scored(self) -> bool:
        every = max(1, round(self._plan.validate_every * self._per_epoch))
        return self._steps.num_taken % every == 0 or self._steps.num_taken == self._num_steps

    def _evaluate(self) -> None:
        """Measure AP of the averaged weights, or of the weights where there is no average, and keep the best."""
        self._steps.check_finite()
        self._steps.free_memory()
        rows = self._data.scored_rows
        own = self._processes.share(rows)
        found: ScoredBoxes | None = None
        with self._steps.averaged():
            if len(own):
                found = detect_all(
                    self._network,
                    self._anchors,
                    self._data.scored,
                    own,
                    bf16=self._bf16,
                    counts_last_pixel=self._counts_last_pixel,
                    candidates_per_class=self._candidates_per_class,
                )
        self._network.train()

        parts = gathered(self._processes, found)
        if self._processes.is_first:
            boxes = _joined([part for part in parts if part is not None])
            self._note(score(self._data.scored.annotations, rows, boxes))
        self._loss_sum, self._num_losses = torch.zeros((), dtype=torch.float64), 0

    def _note(self, metrics: dict[str, float]) -> None:
        """Tell of a measurement, and write the detector where it is the best, or the last."""
        metrics["loss"] = self._standing().loss
        is_best = self._best_ap is None or metrics["ap"] > self._best_ap
        is_last = self._steps.num_taken == self._num_steps
        names = [name for name, is_due in ((BEST, is_best), (LAST, is_last)) if is_due]
        info, raw, averaged = self._info(metrics), self._steps.network_state(), self._steps.averaged_state()
        try:
            for name in names:
                save_detector(self._plan.run / name, info, raw=raw, averaged=averaged, inside=self._plan.run)
        except InputError as error:
            # A full disk is an error at the end alone; until then the next measurement above the best that is kept is.
            if is_last:
                raise
            is_best = False
            self._watch.remark(f"the weights at step {self._steps.num_taken} are not kept: {error}")
        if is_best:
            self._best_ap = metrics["ap"]
        self._watch.evaluated(self._standing(), metrics, info.weights, is_best=is_best)

    def _info(self, metrics: dict[str, float]) -> DetectorInfo:
        plan, annotations = self._plan, self._data.train.annotations
        pairs = zip(annotations.category_ids, annotations.category_names, strict=True)
        recipe = {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(plan.protocol).items()
        }
        return DetectorInfo(
            name=plan.name,
            architecture=plan.architecture,
            scale=plan.scale,
            categories=tuple(Category(int(number), name) for number, name in pairs),
            weights="raw" if plan.protocol.ema_decay is None else "averaged",
            reference=self._reference,
            norm_epsilon=self._epsilon,
            counts_last_pixel=self._counts_last_pixel,
            candidates_per_class=self._candidates_per_class,
            recipe={**recipe, "seed": plan.seed, "step": self._steps.num_taken},
            metrics=metrics,
            run=plan.run.name,
            search=plan.search,
            trial=plan.trial,
            versions=plan.versions,
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
            ap=self._best_ap,
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
        self._loss_sum, self._num_losses, self._best_ap = (
            content[name] for name in ("loss_sum", "num_losses", "best_ap")
        )
        if found.remark and self._processes.is_first:
            self._watch.remark(found.remark)

    def _options(self) -> dict[str, Any]:
        names = [str(name) for name in self._data.train.annotations.category_names]
        content = self._plan.data.content
        _, longest_side_px = stored_form(self._plan.data.image_size_px, self._plan.data.cache_format)
        return {
            **self._plan.options(),
            "classes": names,
            "weights": self._weights_crc,
            # Where the data lies may change, its content not; nor which of its images are trained on.
            DATA: {} if content is None else content.parts(),
            "images": f"{len(self._rows)} ({zlib.crc32(self._rows.tobytes()):08x})",
            "longest_side_px": longest_side_px,
        }

    def _save(self) -> None:
        if self._processes.is_first:
            content = {
                "steps": self._steps.state(),
                "loss_sum": self._loss_sum.cpu(),
                "num_losses": self._num_losses,
                "best_ap": self._best_ap,
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


def rows_to_train_on(data: OpenData) -> NDArray[np.int64]:
    """Return the images to train on: those held out for a search too, where AP is measured on the validation set."""
    return data.train_rows if data.val is None else np.arange(data.train.annotations.num_images)


def _num_objects(annotations: Annotations, rows: NDArray[np.int64]) -> int:
    """Return the boxes of some images, without those around crowds."""
    spans = (slice(annotations.first_box[row], annotations.first_box[row + 1]) for row in rows)
    return sum(int((~annotations.is_crowd[span]).sum()) for span in spans)


def _joined(parts: list[ScoredBoxes]) -> ScoredBoxes:
    """Return the detections of all processes as one."""
    return ScoredBoxes(
        rows=np.concatenate([part.rows for part in parts]),
        boxes_xyxy=np.concatenate([part.boxes_xyxy for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
    )
