"""The steps of a training: what one step does, the number of steps taken, and all that the next one depends on."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from proxy_tasks.coco.batches import Batch
from proxy_tasks.coco.originals import Originals
from proxy_tasks.detection.augment import augment, draw_augmentation
from proxy_tasks.detection.augment_originals import augment_originals
from proxy_tasks.detection.finite_watch import FiniteWatch
from proxy_tasks.detection.flat_parameters import flatten_groups
from proxy_tasks.detection.graphed_gradients import REPLAYED, GraphedGradients, Launch
from proxy_tasks.detection.losses import detection_loss, match_batch
from proxy_tasks.detection.optimization import make_optimizer, make_schedule
from proxy_tasks.detection.processes import ALONE, Processes
from proxy_tasks.detection.recipe import Recipe
from proxy_tasks.detection.weight_average import WeightAverage
from proxy_tasks.networks.stochastic_depth import StochasticDepth
from proxy_tasks.networks.torch_file import state_on_cpu

_AUGMENTATION, _SKIPS = 1, 2
"""Parts of the seeds of augmentation and stochastic depth, which keep them apart from the order of the images."""


class TrainingSteps:
    """A detector in training, step by step.

    A step takes the images of one batch, which may be spread over several processes, and over several parts one after
    the other in each of them. Gradients are those of the whole batch. So are the statistics that images are normalised
    by over processes, where the network's normalisation is a synchronised one; over parts they are of each part.

    Attributes:
        num_taken: steps that are done.

    Args:
        network: maps (B, 3, S, S) images to `RawDetections`; its parameters become views, see `flatten_groups`.
        anchors_xyxy: (A, 4) the anchors that the network's outputs belong to, on its device.
        recipe: optimizer, schedule and augmentation; see `Recipe`.
        num_steps: the schedule's length.
        bf16: compute convolutions in bfloat16.
        seed: seed of all that is drawn.
        processes: the processes that train the network together.
        is_resumable: draw what stochastic depth skips anew in every step, from seed and step alone; and average the
            statistics of the normalisation with the weights. A proxy draws from where the building of its network left
            off, and takes the statistics again at its end.
        launch: the way in which a step is launched that one GPU takes alone.
    """

    def __init__(
        self,
        network: nn.Module,
        anchors_xyxy: Tensor,
        recipe: Recipe,
        num_steps: int,
        *,
        bf16: bool,
        seed: int,
        processes: Processes = ALONE,
        is_resumable: bool = False,
        launch: Launch = REPLAYED,
    ) -> None:
        self._network = network
        self._anchors_xyxy = anchors_xyxy
        self._recipe = recipe
        self._bf16 = bf16
        self._seed = seed
        self._processes = processes
        self._is_resumable = is_resumable
        self._launch = launch

        self._optimizer = make_optimizer(network, recipe)
        self._parameters = flatten_groups(self._optimizer)
        self._schedule = make_schedule(self._optimizer, recipe, num_steps)
        self._average = self._new_average()
        self._watch = FiniteWatch(num_steps, anchors_xyxy.device)
        self._skips = [module for module in network.modules() if isinstance(module, StochasticDepth)]
        self._on_gpu = self._new_gradients_on_gpu()
        self.num_taken = 0
        network.train()

    def take(self, parts: Sequence[Batch | Originals], *, num_images: int, first: int = 0) -> Tensor:
        """Take one step.

        Args:
            parts: the images of this process, in one batch or in several that are taken one after the other; squares,
                or original images that are scaled here.
            num_images: images of the step over all processes.
            first: number of this process's first image among them.

        Returns:
            The loss of the whole batch, a scalar on the device.

        Raises:
            NonFiniteLossError: the loss or gradient of an earlier step, or of this one, was infinite or not a number.
        """
        augmented, starts = self._augmented(parts, num_images, first)

        # The loss of each part is divided by the number of positive anchors of all, so that has to be known first.
        matched = [match_batch(part, self._anchors_xyxy) for part in augmented]
        num_positive = self._processes.sum(torch.stack([(m >= 0).sum() for m in matched]).sum())

        if self._on_gpu is not None and len(augmented) == 1:
            self._seed_skips(0, num_images)
            loss = self._on_gpu.take(augmented[0], matched[0], num_positive)
            self._update(loss)
            return loss

        self._optimizer.zero_grad(set_to_none=False)
        losses = []
        for part, start, m in zip(augmented, starts, matched, strict=True):
            self._seed_skips(start, num_images)

            # Convolutions alone may be in bfloat16; the loss is computed in float32.
            with torch.autocast(self._anchors_xyxy.device.type, torch.bfloat16, enabled=self._bf16):
                raw = self._network(part.images)
            loss = detection_loss(raw, part, self._anchors_xyxy, m, num_positive)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
            losses.append(loss.detach())

        # Sums, not means: each process has divided by what all of them have.
        loss = self._processes.sum(torch.stack(losses).sum())
        for flat in self._parameters:
            if flat.grad is not None:
                self._processes.sum(flat.grad)
        self._update(loss)
        return loss

    def check_finite(self) -> None:
        """Wait for the device, and check all steps.

        Raises:
            NonFiniteLossError: the loss or gradient of one was infinite or not a number.
        """
        self._watch.finish()

    def free_memory(self) -> None:
        """Give back what steps keep in the memory of a GPU, for something large between two of them."""
        if self._on_gpu is not None:
            self._on_gpu.free()

    def put_average_in_place(self) -> None:
        """Replace the weights by their average, where the recipe has one."""
        if self._average is not None:
            self._average.put_in_place()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Have the network hold the average of its weights, where the recipe has one, until the block ends."""
        if self._average is None:
            yield
            return
        self._average.swap()
        try:
            yield
        finally:
            self._average.swap()

    def network_state(self) -> dict[str, Tensor]:
        """Return a copy of the network's state in this processor's memory."""
        return state_on_cpu(self._network.state_dict())

    def averaged_state(self) -> dict[str, Tensor] | None:
        """Return the same with the average of the weights, and of the statistics; None where there is none."""
        if self._average is None:
            return None
        with self.averaged():
            return self.network_state()

    def state(self) -> dict[str, Any]:
        """Return all that the next steps depend on, as plain values and tensors that no later step changes.

        Raises:
            NonFiniteLossError: as `check_finite`.
        """
        self.check_finite()
        return {
            "num_taken": self.num_taken,
            "network": self.network_state(),
            "averaged": self.averaged_state(),
            "optimizer": copy.deepcopy(self._optimizer.state_dict()),
            "schedule": copy.deepcopy(self._schedule.state_dict()),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state` of the same training: steps that follow are those that followed it."""
        # The average copies what the network holds.
        if state["averaged"] is not None:
            self._network.load_state_dict(state["averaged"])
            self._average = self._new_average()
        self._network.load_state_dict(state["network"])

        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self.num_taken = state["num_taken"]

    def _augmented(
        self, parts: Sequence[Batch | Originals], num_images: int, first: int
    ) -> tuple[list[Batch], list[int]]:
        """Return the parts augmented, as they would be in one batch, and the number of the first image of each."""
        rng = np.random.default_rng([self._seed, self.num_taken, _AUGMENTATION])
        drawn = draw_augmentation(rng, num_images)  # (4, images of the step)

        augmented, starts = [], []
        for part in parts:
            own = drawn[:, first : first + part.num_images]
            if isinstance(part, Originals):
                augmented.append(augment_originals(part, own, flip=self._recipe.flip, jitter=self._recipe.jitter))
            else:
                augmented.append(augment(part, own, flip=self._recipe.flip, jitter=self._recipe.jitter))
            starts.append(first)
            first += part.num_images
        return augmented, starts

    def _seed_skips(self, first: int, num_images: int) -> None:
        """Have stochastic depth draw for the whole batch, the same in each process and for each part."""
        if not self._is_resumable or not self._skips:
            return
        seed = np.random.SeedSequence([self._seed, self.num_taken, _SKIPS]).generate_state(1, np.uint64)
        torch.manual_seed(int(seed[0]))
        for skip in self._skips:
            skip.take_part(first, num_images)

    def _update(self, loss: Tensor) -> None:
        """Step the optimizer, the schedule and the average, and count the step."""
        # Clip before the step: the reference bounds the norm over all parameters together.
        norm = nn.utils.clip_grad_norm_(self._parameters, self._recipe.gradient_clip_norm)
        self._optimizer.step()
        self._schedule.step()
        if self._average is not None:
            self._average.update(self.num_taken)

        self._watch.note(self.num_taken, loss, norm)
        self.num_taken += 1

    def _new_gradients_on_gpu(self) -> GraphedGradients | None:
        """Return what takes the gradients of a step that one GPU takes alone."""
        if self._anchors_xyxy.device.type != "cuda" or self._processes.count > 1:
            return None
        return GraphedGradients(
            self._network, self._parameters, self._anchors_xyxy, bf16=self._bf16, launch=self._launch
        )

    def _new_average(self) -> WeightAverage | None:
        """Return an average that begins with what the network holds."""
        if self._recipe.ema_decay is None:
            return None
        statistics = [b for b in self._network.buffers() if b.is_floating_point()] if self._is_resumable else []
        return WeightAverage([*self._parameters, *statistics], self._recipe.ema_decay)
