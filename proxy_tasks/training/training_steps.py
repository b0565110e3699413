"""The steps of a training: what one step does, the number of steps taken, and all that the next one depends on."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic

import numpy as np
import torch
from torch import Tensor, nn

from proxy_tasks.networks.stochastic_depth import StochasticDepth
from proxy_tasks.networks.torch_file import state_on_cpu
from proxy_tasks.training.finite_watch import FiniteWatch
from proxy_tasks.training.flat_parameters import flatten_groups
from proxy_tasks.training.objective import Gradients, Objective, Part, Ready
from proxy_tasks.training.optimization import make_optimizer, make_schedule
from proxy_tasks.training.processes import ALONE, Processes
from proxy_tasks.training.recipe import Recipe
from proxy_tasks.training.weight_average import WeightAverage

_AUGMENTATION, _SKIPS = 1, 2
"""Parts of the seeds of augmentation and stochastic depth, which keep them apart from the order of the images."""


class TrainingSteps(Generic[Part, Ready]):
    """A network in training, step by step.

    A step takes the images of one batch, which may be spread over several processes, and over several parts one after
    the other in each of them. Gradients are those of the whole batch. So are the statistics that images are normalised
    by over processes, where the network's normalisation is a synchronised one; over parts they are of each part.

    Attributes:
        num_taken: steps that are done.

    Args:
        network: the network, on its device; its parameters become views, see `flatten_groups`.
        objective: what is minimised, and how images are augmented for it.
        recipe: optimizer and schedule; see `Recipe`.
        num_steps: the schedule's length.
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
        objective: Objective[Part, Ready],
        recipe: Recipe,
        num_steps: int,
        *,
        seed: int,
        processes: Processes = ALONE,
        is_resumable: bool = False,
    ) -> None:
        self._network = network
        self._objective = objective
        self._recipe = recipe
        self._seed = seed
        self._processes = processes
        self._is_resumable = is_resumable

        self._optimizer = make_optimizer(network, recipe)
        self._parameters = flatten_groups(self._optimizer)
        self._schedule = make_schedule(self._optimizer, recipe, num_steps)
        self._average = self._new_average()
        device = self._parameters[0].device
        self._watch = FiniteWatch(num_steps, device)
        self._skips = [module for module in network.modules() if isinstance(module, StochasticDepth)]
        self._recorded: Gradients[Ready] | None = None
        if device.type == "cuda" and processes.count == 1:
            self._recorded = objective.recorded(network, self._parameters)
        self.num_taken = 0
        network.train()

    def take(self, parts: Sequence[Part], *, num_images: int, first: int = 0) -> Tensor:
        """Take one step.

        Args:
            parts: the images of this process, in one batch or in several that are taken one after the other.
            num_images: images of the step over all processes.
            first: number of this process's first image among them.

        Returns:
            The loss of the whole batch, a scalar on the device.

        Raises:
            NonFiniteLossError: the loss or gradient of an earlier step, or of this one, was infinite or not a number.
        """
        rng = np.random.default_rng([self._seed, self.num_taken, _AUGMENTATION])
        ready = self._objective.ready(parts, rng, num_images=num_images, first=first, processes=self._processes)

        if self._recorded is not None and len(ready) == 1:
            self._seed_skips(0, num_images)
            loss = self._recorded.take(ready[0])
            self._update(loss)
            return loss

        self._optimizer.zero_grad(set_to_none=False)
        losses = []
        for part, own in zip(ready, parts, strict=True):
            self._seed_skips(first, num_images)
            loss = self._objective.loss(self._network, part)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
            losses.append(loss.detach())
            first += own.num_images

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
        if self._recorded is not None:
            self._recorded.free()

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

    def _new_average(self) -> WeightAverage | None:
        """Return an average that begins with what the network holds."""
        if self._recipe.ema_decay is None:
            return None
        statistics = [b for b in self._network.buffers() if b.is_floating_point()] if self._is_resumable else []
        return WeightAverage([*self._parameters, *statistics], self._recipe.ema_decay)
