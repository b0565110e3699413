import copy

import pytest
import torch
from torch import nn

from proxy_tasks.training.flat_parameters import flatten_groups
from proxy_tasks.training.optimization import make_optimizer
from proxy_tasks.training.recipe import Optimizer, Recipe


def small_network() -> nn.Module:
    """Return a network with kernels in channels-last layout, biases and normalisation, none a multiple of 16 long."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 2, 1))
    return network.double().to(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_flat_parameters_are_trained_as_separate_ones_are(name: Optimizer) -> None:
    recipe = Recipe(optimizer=name, learning_rate=0.1, weight_decay=0.1, gradient_clip_norm=0.01)
    plain = small_network()
    flat = copy.deepcopy(plain)
    plain_optimizer, flat_optimizer = make_optimizer(plain, recipe), make_optimizer(flat, recipe)
    parameters = flatten_groups(flat_optimizer)

    for step in range(3):
        images = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        norms = []
        for network, optimizer, clipped in (
            (plain, plain_optimizer, list(plain.parameters())),
            (flat, flat_optimizer, parameters),
        ):
            optimizer.zero_grad(set_to_none=False)
            network(images).square().sum().backward()
            norms.append(nn.utils.clip_grad_norm_(clipped, recipe.gradient_clip_norm))
            optimizer.step()
        assert norms[1].item() == pytest.approx(norms[0].item(), rel=1e-10)

    # Kernels and the rest are one tensor each; the weights are where the network and its state have them.
    assert len(parameters) == 2
    for (key, expected), found in zip(plain.state_dict().items(), flat.state_dict().values(), strict=True):
        assert torch.allclose(found, expected, rtol=1e-10, atol=1e-10), key
        assert found.stride() == expected.stride(), key
