"""Failures of GPUs, told apart by what PyTorch raises: memory that is used up, and a GPU that is lost."""

import re

_NO_MEMORY = re.compile(
    # In this order: torch on a CPU; oneDNN, which says no more; C++; CUDA, cuDNN and cuBLAS.
    "you tried to allocate|could not create a primitive$|bad_alloc|out of memory|_ALLOC_FAILED|Cannot allocate memory"
)
_LOST = re.compile(
    # The CUDA runtime's words for errors after which nothing in the process can use the GPU any more, as PyTorch,
    # Triton and NCCL repeat them. A mistake in a call, as "invalid argument", is none of these.
    "illegal memory access|illegal instruction was encountered|misaligned address|invalid program counter"
    "|operation not supported on global/shared address space|hardware stack error|device-side assert triggered"
    "|unspecified launch failure|the launch timed out and was terminated|uncorrectable (ECC|NVLink) error"
    "|over nvlink or a hardware error"
    # The GPU is not there any more, or lets nobody in.
    "|no CUDA-capable device is detected|CUDA-capable device\\(s\\) is/are busy|No CUDA GPUs are available"
    "|invalid device context|context is destroyed|driver shutting down|system not yet initialized"
    "|CUDA (driver )?error: unknown error|GPU is lost|No NVIDIA driver"
    # Another process under the same MPS has lost it for all.
    "|MPS client|MPS server"
    # Libraries that noticed first.
    "|(CUDNN|CUBLAS)_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR|NOT_INITIALIZED)",
    re.IGNORECASE,
)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether PyTorch, or a library below it, found no memory on a GPU or the machine."""
    # torch's own class is a RuntimeError; so is what its allocator and the libraries below it raise.
    if type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


def is_gpu_lost(error: Exception) -> bool:
    """Return whether a GPU, or this process's context on it, can be used no more; only a new process may help."""
    is_of_torch = isinstance(error, RuntimeError) or type(error).__name__ == "DeferredCudaCallError"
    return is_of_torch and not is_out_of_memory(error) and _LOST.search(str(error)) is not None
