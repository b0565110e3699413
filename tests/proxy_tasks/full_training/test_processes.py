"""Training spread over processes: it equals training in one, whatever the network, and however it goes on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from proxy_tasks.coco.batches import Batch
from proxy_tasks.coco.originals import Originals
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.box_objective import BoxObjective
from proxy_tasks.detection.losses import MatchedBatch
from proxy_tasks.full_training.synced_norm import SyncedBatchNorm2d, synchronise
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.training.processes import ALONE, Processes
from proxy_tasks.training.recipe import Recipe
from proxy_tasks.training.training_steps import TrainingSteps
from search_space import ModelScale
from tests.proxy_tasks.full_training.together import run_together

Steps: TypeAlias = TrainingSteps[Batch | Originals, MatchedBatch]
SIZE_PX, BATCH_SIZE, NUM_CLASSES, NUM_STEPS = 64, 8, 3, 20
# All that differs from sample to sample in training: jitter, flips, skipped branches.
SCALE = ModelScale(
    width_multiplier=0.0625,
    stem_width=8,
    endpoint_width=8,
    head_width=8,
    num_head_convs=1,
    image_size_px=SIZE_PX,
    stochastic_depth=0.2,
)
# At this rate a difference of rounding stays one: after 16 steps 7e-16 of the loss between two processes and one, and
# 5e-15 between one and one whose weights were moved by 1e-15 of themselves. At 0.01 training is chaotic, and either
# difference grows tenfold in a step: 1e-8 and 4e-9 after 10 steps, 1e-6 and 1e-6 after 13.
RECIPE = Recipe(batch_size=BATCH_SIZE, learning_rate=0.001, jitter=(0.8, 1.2), ema_decay=0.9, decay_shares=(0.6,))


def batches(rows: NDArray[np.int64]) -> Batch:
    """Return images of noise, each from its number, with one box each, in double precision."""
    images, boxes = [], []
    for row in rows:
        rng = np.random.default_rng(int(row))
        images.append(rng.standard_normal((3, SIZE_PX, SIZE_PX)))
        corner = rng.random(2) * SIZE_PX / 2
        boxes.append(np.concatenate((corner, corner + 8 + rng.random(2) * 20)))
    return Batch(
        torch.from_numpy(np.stack(images)).contiguous(memory_format=torch.channels_last),
        torch.full((len(rows), 2), float(SIZE_PX), dtype=torch.float64),
        torch.from_numpy(np.stack(boxes)),
        torch.from_numpy(rows % NUM_CLASSES),
        torch.arange(len(rows)),
    )


def make_steps(processes: Processes, architecture: str = "r50-fpn") -> Steps:
    torch.manual_seed(0)
    network: nn.Module = build_detector(architecture, SCALE, NUM_CLASSES).double()
    if processes.count > 1:
        network = synchronise(network, torch.device("cpu"))
    network = network.to(memory_format=torch.channels_last)
    anchors = make_anchors((3, 4, 5, 6, 7), SIZE_PX, 3.0, torch.device("cpu")).double()
    objective = BoxObjective(anchors, RECIPE, bf16=False)
    return TrainingSteps(network, objective, RECIPE, NUM_STEPS, seed=7, processes=processes, is_resumable=True)


def take(steps: Steps, processes: Processes, until: int, num_parts: int = 1) -> Iterator[float]:
    while steps.num_taken < until:
        rows = np.arange(BATCH_SIZE) + BATCH_SIZE * steps.num_taken
        own = processes.share(rows)
        parts = [batches(part) for part in np.array_split(own, num_parts)]
        yield steps.take(parts, num_images=BATCH_SIZE, first=int(own[0] - rows[0])).item()


def work_together(processes: Processes, folder: str) -> None:
    """Do all that is to be compared with one process; starting several takes the longest."""
    for last in (10, NUM_STEPS):
        steps = make_steps(processes)
        losses = list(take(steps, processes, last))
        if processes.is_first:
            torch.save(steps.state() | {"losses": losses}, f"{folder}/after {last}")
    for num_first in (3, 5):
        normalise_part(processes, num_first, folder)


def difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    assert list(first) == list(second)
    return max((first[name] - second[name]).abs().max().item() for name in first)


@pytest.fixture(scope="module")
def alone() -> tuple[list[float], dict[str, Tensor], dict[str, Tensor]]:
    steps = make_steps(ALONE)
    losses = list(take(steps, ALONE, NUM_STEPS))
    averaged = steps.averaged_state()
    assert averaged is not None
    return losses, steps.network_state(), averaged


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    run_together(Path(__file__), "work_together", 2, str(folder))
    return folder


@pytest.mark.long
def test_two_processes_equal_one_and_resume_as_one(
    together: Path, alone: tuple[list[float], dict[str, Tensor], dict[str, Tensor]]
) -> None:
    losses, network, averaged = alone
    two = torch.load(together / f"after {NUM_STEPS}", weights_only=True)
    # Sums in another order, in double precision.
    assert two["losses"] == pytest.approx(losses, rel=1e-7)
    assert difference(two["network"], network) < 1e-8
    assert difference(two["averaged"], averaged) < 1e-8

    # Two processes for ten steps, then one.
    steps = make_steps(ALONE)
    steps.restore(torch.load(together / "after 10", weights_only=True))
    assert list(take(steps, ALONE, NUM_STEPS)) == pytest.approx(losses[10:], rel=1e-7)


def test_a_training_that_is_stopped_at_any_step_and_restored_equals_one_that_is_not(
    tmp_path: Path, alone: tuple[list[float], dict[str, Tensor], dict[str, Tensor]]
) -> None:
    losses, network, averaged = alone
    steps, found = make_steps(ALONE), []
    for until in (1, 7, NUM_STEPS):
        found += list(take(steps, ALONE, until))
        # Written and read, as a file has it.
        torch.save(steps.state(), tmp_path / "state")
        steps = make_steps(ALONE)
        steps.restore(torch.load(tmp_path / "state", weights_only=True))
    assert found == losses
    assert difference(steps.network_state(), network) == 0
    assert difference(steps.averaged_state() or {}, averaged) == 0


def test_parts_of_a_batch_have_the_gradient_of_the_whole_but_for_the_statistics_they_are_normalised_by() -> None:
    steps, whole = make_steps(ALONE), make_steps(ALONE)
    for each in (steps, whole):
        # Statistics of a whole batch cannot be had from a part of it: those from before are taken instead.
        network: nn.Module = each._network
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    assert list(take(steps, ALONE, 3, num_parts=4)) == pytest.approx(list(take(whole, ALONE, 3)), rel=1e-9)
    assert difference(steps.network_state(), whole.network_state()) < 1e-10


def normalise_part(processes: Processes, num_first: int, folder: str) -> None:
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 4, 3, 5))) * 3 + 100
    own = x[:num_first] if processes.is_first else x[num_first:]
    own.requires_grad_()
    network = synchronise(nn.Sequential(nn.BatchNorm2d(4).double()), torch.device("cpu"))
    assert isinstance(network.get_submodule("0"), SyncedBatchNorm2d)
    out = network(own)
    (out**3).sum().backward()
    gradients = [p.grad for p in network.parameters()]
    torch.save({"out": out.detach(), "of_input": own.grad, "gradients": gradients, "state": network.state_dict()},
               f"{folder}/{processes.rank} of {num_first}")  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("num_first", [3, 5])
def test_synchronised_normalisation_equals_that_of_the_whole_batch(together: Path, num_first: int) -> None:
    first, second = (torch.load(together / f"{rank} of {num_first}", weights_only=True) for rank in (0, 1))
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 4, 3, 5))) * 3 + 100
    x.requires_grad_()
    network = nn.Sequential(nn.BatchNorm2d(4).double())
    out = network(x)
    (out**3).sum().backward()

    assert torch.allclose(torch.cat((first["out"], second["out"])), out, rtol=0, atol=1e-12)
    assert x.grad is not None
    assert torch.allclose(torch.cat((first["of_input"], second["of_input"])), x.grad, rtol=0, atol=1e-9)
    for p, a, b in zip(network.parameters(), first["gradients"], second["gradients"], strict=True):
        assert torch.allclose(a + b, p.grad if p.grad is not None else a, rtol=1e-10)
    for state in (first["state"], second["state"]):
        for name, tensor in network.state_dict().items():
            assert torch.allclose(state[name].double(), tensor.double(), rtol=1e-12), name


@pytest.mark.gpu
def test_synchronised_normalisation_equals_torch_s_on_a_gpu() -> None:
    import torch.distributed as dist

    store = dist.HashStore()  # type: ignore[attr-defined]  # torch leaves it out of its types
    dist.init_process_group("cpu:gloo,cuda:nccl", store=store, rank=0, world_size=1)
    try:
        x = torch.randn(4, 8, 5, 5, dtype=torch.float64)
        results = []
        for device in (torch.device("cpu"), torch.device("cuda")):
            network = synchronise(nn.Sequential(nn.BatchNorm2d(8).double()), device).to(device)
            own = x.to(device, copy=True).requires_grad_()
            (network(own) ** 3).sum().backward()
            assert own.grad is not None
            results.append((own.grad.cpu(), *(tensor.cpu() for tensor in network.state_dict().values())))
        for a, b in zip(*results, strict=True):
            assert torch.allclose(a.double(), b.double(), atol=1e-9)
    finally:
        dist.destroy_process_group()


def test_without_stochastic_depth_nothing_is_drawn_in_a_step() -> None:
    plain = replace(SCALE, stochastic_depth=0.0)
    network = build_detector("r50-fpn", plain, NUM_CLASSES).double()
    anchors = make_anchors((3, 4, 5, 6, 7), SIZE_PX, 3.0, torch.device("cpu")).double()
    objective = BoxObjective(anchors, RECIPE, bf16=False)
    steps = TrainingSteps(network, objective, RECIPE, NUM_STEPS, seed=7, is_resumable=True)
    before = torch.get_rng_state()
    list(take(steps, ALONE, 1))
    assert torch.equal(before, torch.get_rng_state())
