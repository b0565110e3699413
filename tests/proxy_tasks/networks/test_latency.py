import platform
import time

import pytest
import torch
from torch import Tensor, nn

from foundation import InputError
from proxy_tasks.latency import Conditions, Latency, latency_of
from proxy_tasks.networks.latency import measure_latency, processor_name
from proxy_tasks.runtime import pick_device

CPU = torch.device("cpu")
ON_PROCESSOR = Conditions("torch 2.9", "Some(R) CPU @ 2.2GHz, 2 threads", "bfloat16", 2, (600, 800), 20, 5)
BY_COMMAND = Conditions("command", "my nano", "float32", 1, (64, 64), 1, None)


class Sleepy(nn.Module):
    """Takes a known time, longer in the runs that should not count."""

    def __init__(self, num_slow: int) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []
        self._num_slow = num_slow

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.shapes.append(tuple(images.shape))
        time.sleep(0.2 if len(self.shapes) <= self._num_slow else 0.01)
        return images


def test_latency_is_the_median_after_a_warm_up() -> None:
    network, runs = Sleepy(num_slow=2), list[int]()
    latency = measure_latency(
        network, (48, 64), batch_size=3, device=CPU, num_warmups=2, num_runs=7, report=runs.append
    )
    # A sleep of 10 ms never ends early; on a busy machine it may end late, but half of them not by 100 ms.
    assert 10 <= latency.median_ms < 100
    assert latency.quartiles_ms[0] <= latency.median_ms <= latency.quartiles_ms[1]
    assert network.shapes == [(3, 3, 48, 64)] * 9
    assert runs == [1, 2, 3, 4, 5, 6, 7]
    assert (latency.conditions.num_warmups, latency.conditions.num_runs) == (2, 7)


def test_latency_says_under_which_conditions_it_was_taken() -> None:
    assert str(Latency(12.345, (12.0, 13.5), ON_PROCESSOR)) == (
        "12.3 ms, median of 20 runs after 5 to warm up (quartiles 12.0 and 13.5); batch 2 of 600 x 800 px, bfloat16, "
        "torch 2.9, Some(R) CPU @ 2.2GHz, 2 threads"
    )
    assert str(latency_of([3.0], BY_COMMAND)) == (
        "3.00 ms, median of 1 call (quartiles 3.00 and 3.00); batch 1 of 64 x 64 px, float32 in the file, my nano, "
        "warm-up and threads as the command has them"
    )
    assert str(latency_of([0.25, 0.25], ON_PROCESSOR)).startswith("0.250 ms, ")
    with pytest.raises(ValueError, match="num_runs must be 2 or more, got 1"):
        measure_latency(Sleepy(0), (48, 64), device=CPU, num_runs=1)


def test_the_name_of_a_series_has_characters_that_every_tracker_takes() -> None:
    # Those that MLflow takes.
    assert ON_PROCESSOR.label == "torch 2.9 bfloat16 on Some CPU 2.2GHz 2 threads 20 runs after 5"
    assert BY_COMMAND.label == "command float32 on my nano 1 calls"


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor\t: 0\nmodel name\t: Some CPU\n\nprocessor\t: 1\nmodel name\t: Some CPU\n", "Some CPU"),
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n", f"{platform.machine()} 0x41 0xd0c"),
    ],
)
def test_processors_without_a_name_are_told_apart_by_their_numbers(cpuinfo: str, name: str) -> None:
    assert processor_name(cpuinfo) == name


def test_a_device_that_is_not_there_is_one_line() -> None:
    with pytest.raises(InputError, match="device must be auto, cpu or cuda, got 'tpu'"):
        pick_device("tpu")
    with pytest.raises(InputError, match=r"device cuda:99: torch finds \d+ GPUs on this machine"):
        pick_device("cuda:99")
