import numpy as np
import pytest
import torch
from torch import Tensor, nn

from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.box_objective import BoxObjective
from proxy_tasks.networks.retinanet import RawDetections
from proxy_tasks.training.loop import train
from proxy_tasks.training.recipe import Recipe

ANCHORS = make_anchors((3,), 32, 3.0, torch.device("cpu"))


class OneAnswer(nn.Module):
    """Gives every anchor the same logits and codes, which are what it learns."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = nn.Parameter(torch.zeros(6))

    def forward(self, images: Tensor) -> RawDetections:
        answers = self.answer.expand(len(images), len(ANCHORS), 6)
        return RawDetections(answers[..., :2], answers[..., 2:])


@pytest.mark.parametrize(("clip_norm", "moves_by"), [(1e-3, 1e-3), (1e-2, 1e-2)])
def test_a_step_is_as_long_as_the_bound_of_the_gradient_allows(clip_norm: float, moves_by: float) -> None:
    box, label, image = torch.tensor([[2.0, 2.0, 26.0, 26.0]]), torch.tensor([1]), torch.tensor([0])
    batch = Batch(torch.zeros(1, 3, 32, 32), torch.full((1, 2), 32.0), box, label, image)
    network = OneAnswer()
    recipe = Recipe(learning_rate=1.0, gradient_clip_norm=clip_norm, weight_decay=0.0, flip=False)
    losses = train(network, BoxObjective(ANCHORS, recipe, bf16=False), [batch], recipe, 1, seed=0)
    assert np.isfinite(losses).all()
    # One step at the full rate, without momentum yet: as long as the clipped gradient.
    assert network.answer.detach().norm().item() == pytest.approx(moves_by, rel=1e-3)
