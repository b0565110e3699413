"""Latency: the time that a network takes on this machine."""

import platform
import time
from collections.abc import Callable

import torch
from torch import nn

from proxy_tasks.latency import Conditions, Latency, latency_of
from proxy_tasks.runtime import keep_freed_memory, wait_for

NUM_WARMUPS = 5
"""Runs before those that are timed."""


def measure_latency(
    network: nn.Module,
    image_size_px: tuple[int, int],
    *,
    batch_size: int = 1,
    device: torch.device,
    bf16: bool = False,
    num_warmups: int = NUM_WARMUPS,
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

    def run() -> None:
        network(images)
        wait_for(device)

    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        times = times_ms(run, num_warmups, num_runs, report)
    conditions = torch_conditions(
        image_size_px, batch_size=batch_size, device=device, bf16=bf16, num_warmups=num_warmups, num_runs=num_runs
    )
    return latency_of(times, conditions)


def torch_conditions(
    image_size_px: tuple[int, int],
    *,
    batch_size: int,
    device: torch.device,
    bf16: bool,
    num_warmups: int = NUM_WARMUPS,
    num_runs: int,
) -> Conditions:
    """Return the conditions under which `measure_latency` measures."""
    return Conditions(
        runtime=f"torch {torch.__version__}",
        device=device_name(device),
        precision=_precision_name(device, bf16),
        batch_size=batch_size,
        image_size_px=image_size_px,
        num_runs=num_runs,
        num_warmups=num_warmups,
    )


def times_ms(run: Callable[[], None], num_warmups: int, num_runs: int, report: Callable[[int], None]) -> list[float]:
    """Return the milliseconds of each run that counts; `report` is called with its number, from 1."""
    times = []
    for number in range(1 - num_warmups, num_runs + 1):
        started = time.perf_counter()
        run()

        # The first runs allocate memory and choose kernels.
        if number > 0:
            times.append(1000 * (time.perf_counter() - started))
            report(number)
    return times


def device_name(device: torch.device) -> str:
    """Return what to call a device in a result, as `AMD EPYC, 2 threads`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{processor_name(_cpuinfo())}, {threads} thread{'s' if threads > 1 else ''}"


def _precision_name(device: torch.device, bf16: bool) -> str:
    if bf16:
        return "bfloat16"
    return "float32 (TF32)" if device.type == "cuda" and torch.backends.cudnn.allow_tf32 else "float32"


def processor_name(cpuinfo: str) -> str:
    """Return the name of the processor that a text as that of /proc/cpuinfo describes.

    One of ARM has no name there: the numbers of its maker and its kind take the place.
    """
    lines = [line.partition(":") for line in cpuinfo.splitlines()]
    values = {name.strip(): value.strip() for name, _, value in reversed(lines)}
    if "model name" in values:
        return values["model name"]
    if "CPU part" in values:
        return f"{platform.machine()} {values.get('CPU implementer', '')} {values['CPU part']}"
    return platform.processor() or platform.machine()


def _cpuinfo() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
