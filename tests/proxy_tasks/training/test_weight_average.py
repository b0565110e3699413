import pytest
import torch
from torch import nn

from proxy_tasks.training.weight_average import WeightAverage


def one_weight(value: float) -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    set_to(network, value)
    return network


def set_to(network: nn.Linear, value: float) -> None:
    with torch.no_grad():
        network.weight.fill_(value)


def test_an_average_keeps_less_of_what_was_before_in_the_first_steps() -> None:
    network = one_weight(0.0)
    average = WeightAverage(network.parameters(), 0.5)
    # By hand: a step keeps (1 + step) / (10 + step) at most, so 0.1, 2 / 11, 3 / 12.
    expected = 0.0
    for step, kept in enumerate((1 / 10, 2 / 11, 3 / 12)):
        set_to(network, step + 1.0)
        average.update(step)
        expected = kept * expected + (1 - kept) * (step + 1.0)
    average.put_in_place()
    assert network.weight.item() == pytest.approx(expected, rel=1e-6)


def test_a_late_step_keeps_the_decay() -> None:
    network = one_weight(2.0)
    average = WeightAverage(network.parameters(), 0.5)
    set_to(network, 4.0)
    average.update(1000)
    average.put_in_place()
    assert network.weight.item() == 3.0


def test_the_network_is_left_alone_until_the_average_is_put_in_place() -> None:
    network = one_weight(2.0)
    average = WeightAverage(network.parameters(), 0.5)
    set_to(network, 4.0)
    average.update(1000)
    assert network.weight.item() == 4.0
    assert network.weight.requires_grad
