"""A classifier in training: two processes equal one, and one that is stopped equals one that is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import torch
from torch import nn

from proxy_tasks.classification.labelled import LabelledImages
from proxy_tasks.classification.objective import ClassObjective, ReadyImages
from proxy_tasks.classification.recipe import ClassRecipe
from proxy_tasks.full_training.synced_norm import synchronise
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.training.processes import ALONE, Processes
from proxy_tasks.training.recipe import Recipe
from proxy_tasks.training.training_steps import TrainingSteps
from search_space import ModelScale
from tests.proxy_tasks.full_training.together import run_together

Steps: TypeAlias = TrainingSteps[LabelledImages, ReadyImages]
BATCH_SIZE, NUM_CLASSES, NUM_STEPS = 8, 3, 8
SCALE = ModelScale(width_multiplier=0.0625, stem_width=8, endpoint_width=8, image_size_px=64, stochastic_depth=0.2)
RECIPE = Recipe(batch_size=BATCH_SIZE, learning_rate=0.001, ema_decay=0.9, decay_shares=(0.6,))
# All that differs from image to image: crops, flips, RandAugment, skipped branches.
CLASSES = ClassRecipe(label_smoothing=0.1, rand_augment=9)


class Doubled(nn.Module):
    """A network in double precision, whatever images it is given."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(images.double())
        return logits


def images_of(rows: list[int]) -> LabelledImages:
    """Return images of noise of several sizes, each from its number."""
    rngs = [np.random.default_rng(row) for row in rows]
    images = [
        torch.from_numpy(rng.integers(0, 256, (40 + row % 5, 70, 3), dtype=np.uint8))
        for row, rng in zip(rows, rngs, strict=True)
    ]
    return LabelledImages(images, torch.tensor(rows) % NUM_CLASSES, SCALE.image_size_px)


def make_steps(processes: Processes) -> Steps:
    torch.manual_seed(0)
    network: nn.Module = build_network("r50-fpn", SCALE, head="classifier", num_classes=NUM_CLASSES).double()
    if processes.count > 1:
        network = synchronise(network, torch.device("cpu"))
    network = Doubled(network).to(memory_format=torch.channels_last)
    objective = ClassObjective(CLASSES, flip=True, bf16=False)
    return TrainingSteps(network, objective, RECIPE, NUM_STEPS, seed=7, processes=processes, is_resumable=True)


def take(steps: Steps, processes: Processes, until: int, num_parts: int = 1) -> Iterator[float]:
    while steps.num_taken < until:
        rows = np.arange(BATCH_SIZE) + BATCH_SIZE * steps.num_taken
        own = processes.share(rows)
        parts = [images_of(part.tolist()) for part in np.array_split(own, num_parts)]
        yield steps.take(parts, num_images=BATCH_SIZE, first=int(own[0] - rows[0])).item()


def work_together(processes: Processes, folder: str) -> None:
    steps = make_steps(processes)
    losses = list(take(steps, processes, NUM_STEPS))
    if processes.is_first:
        torch.save({"losses": losses, "network": steps.network_state()}, f"{folder}/two")


@pytest.mark.long
def test_two_processes_train_a_classifier_as_one_does(tmp_path: Path) -> None:
    steps = make_steps(ALONE)
    losses = list(take(steps, ALONE, NUM_STEPS))
    run_together(Path(__file__), "work_together", 2, str(tmp_path))
    two = torch.load(tmp_path / "two", weights_only=True)
    # Sums in another order, in double precision.
    assert two["losses"] == pytest.approx(losses, rel=1e-7)
    for name, tensor in steps.network_state().items():
        assert torch.allclose(two["network"][name], tensor, rtol=0, atol=1e-8), name


def test_a_classifier_that_is_stopped_at_any_step_and_restored_equals_one_that_is_not(tmp_path: Path) -> None:
    whole = make_steps(ALONE)
    losses = list(take(whole, ALONE, NUM_STEPS))
    steps, found = make_steps(ALONE), []
    for until in (1, 5, NUM_STEPS):
        found += list(take(steps, ALONE, until))
        torch.save(steps.state(), tmp_path / "state")
        steps = make_steps(ALONE)
        steps.restore(torch.load(tmp_path / "state", weights_only=True))
    assert found == losses
    for own, other in zip(steps.network_state().values(), whole.network_state().values(), strict=True):
        assert torch.equal(own, other)


def test_the_loss_is_the_mean_over_the_batch_whatever_its_parts() -> None:
    steps, parts = make_steps(ALONE), make_steps(ALONE)
    for each in (steps, parts):
        network: nn.Module = each._network
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    assert list(take(steps, ALONE, 2)) == pytest.approx(list(take(parts, ALONE, 2, num_parts=3)), rel=1e-9)
    assert 0.5 < next(take(steps, ALONE, 3)) < 3  # about log(3)
