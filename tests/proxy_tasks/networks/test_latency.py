import time

import pytest
import torch
from torch import Tensor, nn

from foundation import InputError
from proxy_tasks.networks.latency import Latency, measure_latency
from proxy_tasks.networks.profile import network_latency
from proxy_tasks.runtime import pick_device
from search_space import ModelScale

CPU = torch.device("cpu")


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


def test_latency_says_under_which_conditions_it_was_taken() -> None:
    latency = Latency(12.345, (12.0, 13.5), 20, 2, (600, 800), "Some CPU, 2 threads", "bfloat16")
    assert str(latency) == (
        "12.3 ms, median of 20 runs (quartiles 12.0 and 13.5); batch 2 of 600 x 800 px, bfloat16, Some CPU, 2 threads"
    )
    with pytest.raises(ValueError, match="num_runs must be 2 or more, got 1"):
        measure_latency(Sleepy(0), (48, 64), device=CPU, num_runs=1)


@pytest.mark.parametrize("head", ["retinanet", "mask_rcnn", "classifier", "none"])
def test_every_head_can_be_timed(head: str) -> None:
    scale = ModelScale(width_multiplier=0.125, endpoint_width=8, num_head_convs=2, head_width=8, image_size_px=64)
    latency = network_latency("spinenet-49", scale, (64, 64), head=head, device="cpu", num_runs=2)  # type: ignore[arg-type]  # one of the four
    assert latency.median_ms > 0
    assert latency.precision == "float32"
    assert "thread" in latency.device


def test_a_device_that_is_not_there_is_one_line() -> None:
    with pytest.raises(InputError, match="device must be auto, cpu or cuda, got 'tpu'"):
        pick_device("tpu")
    with pytest.raises(InputError, match=r"device cuda:99: torch finds \d+ GPUs on this machine"):
        pick_device("cuda:99")
