"""How this process computes: device, number format, memory allocation."""

import ctypes
import sys
from functools import cache

import torch

# From malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 1 << 30


def pick_device(name: str) -> torch.device:
    """Return the device of that name; `auto` is the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@cache
def has_fast_bf16(device_type: str) -> bool:
    """Return whether bfloat16 is faster than float32 on this machine."""
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line for line in file if line.startswith("flags")), "").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


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
