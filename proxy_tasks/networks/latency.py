"""Latency: the time that a network takes on this machine."""

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from proxy_tasks.runtime import keep_freed_memory, wait_for


@dataclass(frozen=True, slots=True)
class Latency:
    """Time of one forward pass, and under which conditions it was taken.

    Attributes:
        median_ms: median of all runs.
        quartiles_ms: a quarter of the runs was faster than the first, a quarter slower than the second.
        num_runs: how many were timed.
        batch_size: images a run.
        image_size_px: height and width.
        device: name of the processor or GPU, with the number of threads.
        precision: number format of the convolutions; TF32 is what cuDNN makes of float32 by default.
    """

    median_ms: float
    quartiles_ms: tuple[float, float]
    num_runs: int
    batch_size: int
    image_size_px: tuple[int, int]
    device: str
    precision: str

    def __str__(self) -> str:
        low, high = self.quartiles_ms
        height, width = self.image_size_px
        return (
            f"{self.median_ms:.1f} ms, median of {self.num_runs} runs (quartiles {low:.1f} and {high:.1f}); "
            f"batch {self.batch_size} of {height} x {width} px, {self.precision}, {self.device}"
        )


def measure_latency(
    network: nn.Module,
    image_size_px: tuple[int, int],
    *,
    batch_size: int = 1,
    device: torch.device,
    bf16: bool = False,
    num_warmups: int = 5,
    num_runs: int = 20,
    report: Callable[[int], None] = lambda run: None,
) -> Latency:
    """Time forward passes on random images, in evaluation and without gradients; the network moves to the device.

    Args:
        network: maps (B, 3, H, W) images to anything.
        image_size_px: height and width.
        batch_size: images a run.
        device: device to run on.
        bf16: compute convolutions in bfloat16.
        num_warmups: runs before those that count.
        num_runs: runs that count, two or more.
        report: called with the number of each run that counts, from 1.

    Raises:
        ValueError: fewer than two runs.
    """
    if num_runs < 2:
        raise ValueError(f"num_runs must be 2 or more, got {num_runs}")

    keep_freed_memory()
    network = network.eval().to(device).to(memory_format=torch.channels_last)
    images = torch.randn(batch_size, 3, *image_size_px, device=device).to(memory_format=torch.channels_last)

    times_ms = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for run in range(1 - num_warmups, num_runs + 1):
            started = time.perf_counter()
            network(images)
            wait_for(device)

            # The first runs allocate memory and choose kernels.
            if run > 0:
                times_ms.append(1000 * (time.perf_counter() - started))
                report(run)

    first, median, third = statistics.quantiles(times_ms, n=4, method="inclusive")
    return Latency(
        median_ms=median,
        quartiles_ms=(first, third),
        num_runs=num_runs,
        batch_size=batch_size,
        image_size_px=image_size_px,
        device=device_name(device),
        precision=_precision_name(device, bf16),
    )


def device_name(device: torch.device) -> str:
    """Return what to call a device in a result, as `AMD EPYC, 2 threads`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor_name()}, {threads} thread{'s' if threads > 1 else ''}"


def _precision_name(device: torch.device, bf16: bool) -> str:
    if bf16:
        return "bfloat16"
    return "float32 (TF32)" if device.type == "cuda" and torch.backends.cudnn.allow_tf32 else "float32"


def _processor_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
