"""Settings of the process that trains: its device, its number format, its memory allocation."""

import ctypes
import os
import re
import sys
from functools import cache
from typing import assert_never

import torch

from foundation import InputError
from proxy_tasks.base import Numerics
from proxy_tasks.device_options import DEVICE_NAMES, Precision

# From malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 1 << 30
_BF16_FLAGS = {"avx512_bf16": "BF16", "amx_bf16": "AMX"}
"""Flags of processors that compute bfloat16 fast, with the names of those instructions."""

_ALLOCATOR_OPTIONS = {"PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"}
"""Variables that torch reads when it first manages memory of a GPU."""


def pick_device(name: str) -> torch.device:
    """Return the device of that name; `auto` is the GPU where there is one.

    Raises:
        InputError: no such device on this machine, or `auto` where this process was given a GPU that is not there.
    """
    if not re.fullmatch(DEVICE_NAMES, name):
        raise InputError(f"device must be auto, cpu or cuda, got {name!r}")

    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if name == "auto" and not num_gpus and given not in ("", "-1") and torch.version.cuda is not None:
        # A GPU that has vanished: a processor would take hours over what was meant to take minutes.
        raise InputError(
            f"device auto: this process was given the GPU CUDA_VISIBLE_DEVICES={given}, and torch finds none; where it "
            "is to train on a processor, set device=cpu, or executor.gpus_per_trial=0"
        )
    if name == "auto":
        name = "cuda" if num_gpus else "cpu"

    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= num_gpus:
        raise InputError(f"device {name}: torch finds {num_gpus} GPUs on this machine")
    return device


def start_device(device: torch.device) -> None:
    """Set this process up to train, and have a GPU compute: its first use is the one that may hang."""
    set_up_training(device)
    if device.type == "cuda":
        torch.zeros(1, device=device).add_(1)
        wait_for(device)


def wait_for(device: torch.device) -> None:
    """Wait until the device has done what it was given; a processor has when the call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def gpu_memory() -> tuple[str, int, int] | None:
    """Return the name of the GPU in use, its free bytes and all its bytes; None where none is used, or it is lost."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch leaves it so
        return None
    try:
        free, total = torch.cuda.mem_get_info()
        return torch.cuda.get_device_name(), free, total
    except RuntimeError:
        # Asked for beside a result, which must not be lost by it: what uses the GPU next says why it is gone.
        return None


def uses_bf16(precision: Precision, device_type: str) -> bool:
    """Return whether convolutions on a device of this type, `cpu` or `cuda`, are computed in bfloat16."""
    match precision:
        case "auto":
            return has_fast_bf16(device_type)
        case "float32":
            return False
        case "bfloat16":
            return True
        case _:
            assert_never(precision)


def numerics_on(device_name: str, precision: Precision) -> Numerics:
    """Return what a network is computed in by this process, on the device of that name.

    Raises:
        InputError: no such device on this machine.
    """
    device = pick_device(device_name)
    number_format = "bfloat16" if uses_bf16(precision, device.type) else "float32"
    if device.type == "cuda":
        return numerics_on_gpu(number_format, torch.cuda.get_device_name(device))

    # Other instructions and other numbers of threads add up in another order, and training enlarges the difference:
    # after half an epoch AP is another. Instructions for bfloat16 matter to that format alone.
    instructions = torch.backends.cpu.get_cpu_capability()
    if number_format == "bfloat16":
        instructions += "".join(f"+{name}" for flag, name in _BF16_FLAGS.items() if flag in _cpu_flags())
    return Numerics(number_format, f"cpu {instructions}", torch.get_num_threads())


def numerics_on_gpu(number_format: str, name: str) -> Numerics:
    """Return what a network is computed in by this process, on a GPU of that name."""
    # TF32 rounds factors to ten bits.
    if number_format == "float32" and torch.backends.cudnn.allow_tf32:
        number_format = "float32 (TF32)"
    return Numerics(number_format, name)


@cache
def has_fast_bf16(device_type: str) -> bool:
    """Return whether bfloat16 is faster than float32 on this machine."""
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))

    return any(flag in _cpu_flags() for flag in _BF16_FLAGS)


@cache
def _cpu_flags() -> frozenset[str]:
    """Return the processor's flags; none where the system does not say."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return frozenset(next((line for line in file if line.startswith("flags")), "").split())
    except OSError:
        return frozenset()


def set_up_training(device: torch.device) -> None:
    """Set this process up to train on a device: its memory, and on a GPU which kernels are taken.

    The one place for these settings. Called before the GPU is first used, as its memory is managed in one way from then
    on. What the user has set there stays.
    """
    keep_freed_memory()
    if device.type != "cuda":
        return

    # A worker trains networks of ever other shapes: memory in fixed pieces would soon hold no large one.
    if not _ALLOCATOR_OPTIONS & os.environ.keys():
        os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"

    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = True


@cache
def keep_freed_memory() -> None:
    """Tell glibc to keep large buffers for the next operator instead of returning them to the system.

    Every CPU operator allocates its result. By default glibc maps and unmaps each large one, and the kernel then
    clears every page again: most of the time of small networks. Nothing happens where there is no glibc.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return

    mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
