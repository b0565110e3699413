"""The losses of a Mask R-CNN in training: torchvision's own, from seeds, whatever the number of processes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from proxy_tasks.coco.batches import IMAGENET
from proxy_tasks.coco.originals import Originals
from proxy_tasks.full_training.synced_norm import synchronise
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.segmentation.mask_objective import MaskedBatch, MaskObjective
from proxy_tasks.training.processes import ALONE, Processes
from proxy_tasks.training.recipe import Recipe
from proxy_tasks.training.training_steps import TrainingSteps
from search_space import ModelScale
from tests.proxy_tasks.full_training.together import run_together

Steps: TypeAlias = TrainingSteps[Originals, MaskedBatch]
SIZE_PX, BATCH_SIZE, NUM_CLASSES, NUM_STEPS = 64, 4, 3, 4
PADDED_PX = 128
"""What torchvision's own forward pass pads images to."""
SCALE = ModelScale(
    width_multiplier=0.0625,
    stem_width=8,
    endpoint_width=8,
    head_width=8,
    num_head_convs=1,
    image_size_px=SIZE_PX,
    stochastic_depth=0.2,
)
RECIPE = Recipe(batch_size=BATCH_SIZE, learning_rate=0.001, jitter=(0.8, 1.2), ema_decay=0.9, decay_shares=(0.6,))
PLAIN = Recipe(batch_size=BATCH_SIZE, jitter=(1.0, 1.0), flip=False)


def originals(rows: NDArray[np.int64], size_px: int = SIZE_PX) -> Originals:
    """Return images of noise, each from its number: those of even numbers have two objects, the others none."""
    pixels, boxes, image, masks = [], [], [], []
    for i, row in enumerate(rows):
        rng = np.random.default_rng(int(row))
        pixels.append(rng.integers(0, 256, (size_px, size_px, 3), np.uint8))
        for _ in range(2 if row % 4 < 2 else 0):
            x, y = rng.integers(0, size_px // 2, 2)
            width, height = rng.integers(12, 30, 2)
            boxes.append([x, y, x + width, y + height])
            mask = np.zeros((size_px, size_px), np.uint8)
            mask[y : y + height, x : x + width // 2] = 1
            masks.append(mask)
            image.append(i)
    labels = [k % NUM_CLASSES for k in range(len(boxes))]
    if not boxes:
        boxes, labels, image, masks = [[0, 0, 0, 0]], [-1], [0], [np.zeros((size_px, size_px), np.uint8)]
    sizes = np.full((len(rows), 2), size_px)
    return Originals(
        torch.from_numpy(np.concatenate(pixels).reshape(-1)),
        sizes,
        sizes,
        torch.tensor(boxes, dtype=torch.float64),
        torch.tensor(labels),
        torch.tensor(image),
        size_px,
        torch.from_numpy(np.concatenate(masks).reshape(-1)),
    )


class PreciseObjective(MaskObjective):
    """The same in double precision, in which rounding cannot be mistaken for a difference."""

    def ready(self, parts, rng, **options):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN201  # as above
        prepared = super().ready(parts, rng, **options)
        return [
            part._replace(
                batch=part.batch._replace(images=part.batch.images.double(), boxes_xyxy=part.batch.boxes_xyxy.double())
            )
            for part in prepared
        ]


def make_network(scale: ModelScale = SCALE) -> MaskRCNN:
    torch.manual_seed(0)
    network = build_network("r50-fpn", scale, head="mask_rcnn", num_classes=NUM_CLASSES)
    assert isinstance(network, MaskRCNN)
    return network


def make_steps(processes: Processes) -> Steps:
    network = make_network().double()
    if processes.count > 1:
        synchronise(network, torch.device("cpu"))
    objective = PreciseObjective(network.to(memory_format=torch.channels_last), RECIPE, bf16=False)
    return TrainingSteps(network, objective, RECIPE, NUM_STEPS, seed=7, processes=processes, is_resumable=True)


def take(steps: Steps, processes: Processes, until: int, num_parts: int = 1) -> Iterator[float]:
    while steps.num_taken < until:
        rows = np.arange(BATCH_SIZE) + BATCH_SIZE * steps.num_taken
        own = processes.share(rows)
        parts = [originals(part) for part in np.array_split(own, num_parts)]
        yield steps.take(parts, num_images=BATCH_SIZE, first=int(own[0] - rows[0])).item()


def work_together(processes: Processes, folder: str) -> None:
    steps = make_steps(processes)
    losses = list(take(steps, processes, NUM_STEPS))
    if processes.is_first:
        torch.save(steps.state() | {"losses": losses}, f"{folder}/together")


def difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    assert list(first) == list(second)
    return max((first[name] - second[name]).abs().max().item() for name in first)


def test_the_loss_is_the_sum_of_torchvision_s() -> None:
    network = make_network(replace(SCALE, stochastic_depth=0.0, image_size_px=PADDED_PX)).train()
    objective = MaskObjective(network, PLAIN, bf16=False)
    images = [originals(np.arange(4), PADDED_PX)]
    (part,) = objective.ready(images, np.random.default_rng(0), num_images=4, first=0, processes=ALONE)
    loss = objective.loss(network, part)

    # Levels from 0 to 1, which torchvision normalises itself; the samplers have the same seeds still.
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET.mean, IMAGENET.std))
    batch, targets = part.batch, []
    for i in range(4):
        is_own = (batch.image == i) & (batch.labels >= 0)
        targets.append({"boxes": batch.boxes_xyxy[is_own], "labels": batch.labels[is_own] + 1, "masks": part.masks[i]})
    losses = network([image * std + mean for image in batch.images], targets)
    assert len(losses) == 5
    assert min(losses.values()) > 0
    assert loss.item() == pytest.approx(sum(losses.values()).item(), rel=1e-5)


def test_images_without_any_object_give_a_loss_and_leave_the_statistics_finite() -> None:
    network = make_network().train()
    objective = MaskObjective(network, PLAIN, bf16=False)
    rows = np.array([2, 3])
    (part,) = objective.ready([originals(rows)], np.random.default_rng(0), num_images=2, first=0, processes=ALONE)
    loss = objective.loss(network, part)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
    assert torch.isfinite(loss)
    assert all(torch.isfinite(buffer).all() for buffer in network.buffers())


def test_a_training_that_is_stopped_at_any_step_and_restored_equals_one_that_is_not(tmp_path: Path) -> None:
    whole = make_steps(ALONE)
    losses = list(take(whole, ALONE, NUM_STEPS))
    steps, found = make_steps(ALONE), []
    for until in (2, 3, NUM_STEPS):
        found += list(take(steps, ALONE, until))
        torch.save(steps.state(), tmp_path / "state")
        steps = make_steps(ALONE)
        # What was drawn before must not matter.
        torch.rand(3)
        steps.restore(torch.load(tmp_path / "state", weights_only=True))
    assert found == losses
    assert difference(steps.network_state(), whole.network_state()) == 0


def test_what_is_sampled_in_an_image_does_not_depend_on_the_others() -> None:
    network = make_network()
    objective = MaskObjective(network, PLAIN, bf16=False)
    labels = [torch.from_numpy(np.random.default_rng(i).integers(-1, 2, 2000)) for i in range(3)]
    sampler = objective._anchors
    sampler.seed([5, 6, 7])
    together = sampler(labels)
    assert sampler.num_sampled == 3 * 256
    sampler.seed([6])
    alone = sampler(labels[1:2])
    assert all(torch.equal(own[0], each[1]) for own, each in zip(alone, together, strict=True))
    assert int(alone[0][0].sum()) == sampler.num_positive == 128


@pytest.mark.long
def test_two_processes_equal_one_though_one_of_them_has_no_object(tmp_path: Path) -> None:
    run_together(Path(__file__), "work_together", 2, str(tmp_path))
    together = torch.load(tmp_path / "together", weights_only=True)
    steps = make_steps(ALONE)
    # Sums in another order, in double precision.
    assert list(take(steps, ALONE, NUM_STEPS)) == pytest.approx(together["losses"], rel=1e-7)
    assert difference(steps.network_state(), together["network"]) < 1e-7
