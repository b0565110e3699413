import dataclasses
import warnings
from typing import TypeAlias

import numpy as np
import pytest
import torch

from proxy_tasks.coco.batches import Batch
from proxy_tasks.coco.originals import Originals
from proxy_tasks.detection import graphed_gradients
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.box_objective import BoxObjective
from proxy_tasks.detection.graphed_gradients import GraphedGradients, Launch, _Flat, is_fault_of_gpu
from proxy_tasks.detection.losses import MatchedBatch, detection_loss, match_batch
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.training.flat_parameters import flatten_groups
from proxy_tasks.training.optimization import make_optimizer
from proxy_tasks.training.recipe import Recipe
from proxy_tasks.training.training_steps import TrainingSteps
from search_space import ModelScale, published_spec

Steps: TypeAlias = TrainingSteps[Batch | Originals, MatchedBatch]
SPEC = published_spec("r0-sp53")
SCALE = ModelScale(width_multiplier=0.125, endpoint_width=16, head_width=16, num_head_convs=1, image_size_px=128)
RECIPE = Recipe(batch_size=4, learning_rate=1e-3, schedule="cosine", jitter=(0.8, 1.2))


def a_batch(seed: int, device: str = "cpu", num_images: int = 4) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    image = torch.arange(num_images).repeat_interleave(2)
    corner = torch.rand(len(image), 2, generator=rng) * 60
    boxes = torch.cat((corner, corner + 20 + torch.rand(len(image), 2, generator=rng) * 40), 1)
    images = torch.randn(num_images, 3, 128, 128, generator=rng).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 3, (len(image),), generator=rng)
    batch = Batch(images, torch.full((num_images, 2), 128.0), boxes, labels, image)
    return Batch(*(tensor.to(device) for tensor in batch))


def steps_on_gpu(scale: ModelScale = SCALE, launch: Launch = graphed_gradients.REPLAYED) -> Steps:
    torch.manual_seed(0)
    network = build_detector(SPEC, scale, 3).cuda().to(memory_format=torch.channels_last)
    anchors = make_anchors(network.output_levels, 128, 3.0, torch.device("cuda"))
    objective = BoxObjective(anchors, RECIPE, bf16=True, launch=launch)
    return TrainingSteps(network, objective, RECIPE, 100, seed=0, is_resumable=True)


def losses_of(steps: Steps, num_steps: int = 8) -> list[float]:
    return [float(steps.take([a_batch(k, "cuda")], num_images=4)) for k in range(num_steps)]


def test_gradients_reach_the_flat_parameters_as_a_backward_pass_brings_them_there() -> None:
    torch.manual_seed(0)
    network = build_detector(SPEC, SCALE, 3).to(memory_format=torch.channels_last).train()
    flats = flatten_groups(make_optimizer(network, RECIPE))
    anchors = make_anchors(network.output_levels, 128, 3.0, torch.device("cpu"))
    batch = a_batch(0)
    matched = match_batch(batch, anchors)
    num_positive = (matched >= 0).sum()

    loss = detection_loss(network(batch.images), batch, anchors, matched, num_positive)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
    expected = [flat.grad.clone() for flat in flats if flat.grad is not None]
    assert len(expected) == 2

    # What is left of an earlier step must not be added to.
    launch = Launch(replays=False, fuses=False)
    gradients = GraphedGradients(network, flats, anchors, bf16=False, launch=launch)
    found = gradients.take(MatchedBatch(batch, matched, num_positive))
    assert torch.equal(found, loss.detach())
    for flat, gradient in zip(flats, expected, strict=True):
        assert flat.grad is not None
        assert torch.equal(flat.grad, gradient)


def test_gradients_of_parameters_that_lie_in_another_order_find_their_places() -> None:
    torch.manual_seed(0)
    network = torch.nn.Module()
    network.turned = torch.nn.Parameter(torch.randn(5, 6).t())
    network.cube = torch.nn.Parameter(torch.randn(2, 3, 4).permute(2, 0, 1))
    network.line = torch.nn.Parameter(torch.randn(7))
    flats = flatten_groups(make_optimizer(network, RECIPE))

    for flat in (_Flat(flat, dict(network.named_parameters())) for flat in flats):
        given = {name: torch.randn(p.shape) for name, p in network.named_parameters()}
        flat.take_gradients(given)
        for name in flat.begins:
            gradient = flat.parameters[name].grad
            assert gradient is not None
            assert torch.equal(gradient, given[name])


@pytest.mark.parametrize(
    ("message", "is_fault"),
    [
        ("CUDA error: operation not permitted when stream is capturing", False),
        ("CUDA error: an illegal memory access was encountered", True),
    ],
)
def test_a_lost_gpu_is_told_from_a_step_that_cannot_be_recorded(message: str, is_fault: bool) -> None:
    # What the end of a failed recording says, and what it was that failed.
    error = torch.AcceleratorError("CUDA error: operation failed due to a previous error during capture")
    error.__context__ = torch.AcceleratorError(message)
    assert is_fault_of_gpu(error) == is_fault
    assert not is_fault_of_gpu(torch.OutOfMemoryError("CUDA out of memory"))


@pytest.mark.gpu
@pytest.mark.parametrize("stochastic_depth", [0.0, 0.3])
def test_a_replayed_step_is_the_step_bit_for_bit(monkeypatch: pytest.MonkeyPatch, stochastic_depth: float) -> None:
    scale = dataclasses.replace(SCALE, stochastic_depth=stochastic_depth)
    replayed = losses_of(steps_on_gpu(scale))
    monkeypatch.setattr(graphed_gradients, "_NUM_EAGER", 1000)
    assert replayed == losses_of(steps_on_gpu(scale))


@pytest.mark.gpu
def test_fused_operators_train_as_torchs_own_do() -> None:
    fused = losses_of(steps_on_gpu(), num_steps=5)
    own = losses_of(steps_on_gpu(launch=Launch(replays=False, fuses=False)), num_steps=5)
    np.testing.assert_allclose(fused, own, rtol=5e-3)


@pytest.mark.gpu
def test_a_batch_of_another_size_is_taken_without_the_graph() -> None:
    steps = steps_on_gpu()
    losses_of(steps)
    assert np.isfinite(float(steps.take([a_batch(9, "cuda", num_images=2)], num_images=2)))
    assert np.isfinite(losses_of(steps, 2)).all()


@pytest.mark.gpu
def test_a_step_that_cannot_be_recorded_is_launched_kernel_by_kernel_and_that_is_said_once() -> None:
    class Waits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = build_detector(SPEC, SCALE, 3)
            self.output_levels = self.network.output_levels

        def forward(self, images: torch.Tensor) -> object:
            # A step that asks for a number waits for the GPU, which a recording cannot.
            assert float(images.mean()) < 1e9
            return self.network(images)

    network = Waits().cuda().to(memory_format=torch.channels_last)
    anchors = make_anchors(network.output_levels, 128, 3.0, torch.device("cuda"))
    steps = TrainingSteps(network, BoxObjective(anchors, RECIPE, bf16=True), RECIPE, 100, seed=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert np.isfinite(losses_of(steps)).all()
    assert [str(w.message).startswith("this training step cannot be recorded") for w in caught].count(True) == 1
