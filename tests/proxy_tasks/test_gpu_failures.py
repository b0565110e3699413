"""Messages are those of the CUDA runtime, the driver, cuDNN, cuBLAS and Triton; the classes are torch's own."""

import subprocess
import sys

import pytest
import torch

from proxy_tasks.gpu_failures import is_gpu_lost, is_out_of_memory

ASYNCHRONOUS = (
    "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be "
    "incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1"
)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError(f"CUDA error: an illegal memory access was encountered{ASYNCHRONOUS}"),
        torch.AcceleratorError(f"CUDA error: device-side assert triggered{ASYNCHRONOUS}"),
        torch.AcceleratorError(f"CUDA error: unspecified launch failure{ASYNCHRONOUS}"),
        torch.AcceleratorError(f"CUDA error: misaligned address{ASYNCHRONOUS}"),
        torch.AcceleratorError(f"CUDA error: uncorrectable ECC error encountered{ASYNCHRONOUS}"),
        torch.AcceleratorError(f"CUDA error: unknown error{ASYNCHRONOUS}"),
        torch.AcceleratorError("CUDA error: CUDA-capable device(s) is/are busy or unavailable"),
        torch.AcceleratorError("CUDA error: the MPS client has been terminated by the server"),
        # Before torch 2.8, and from below PyTorch's own checks.
        RuntimeError(f"CUDA error: an illegal memory access was encountered{ASYNCHRONOUS}"),
        RuntimeError("CUDA driver error: unknown error"),
        RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx(...)`"),
        RuntimeError("No CUDA GPUs are available"),
        torch.cuda.DeferredCudaCallError(
            "CUDA call failed lazily at initialization with error: device-side assert triggered"
        ),
    ],
)
def test_errors_after_which_a_process_cannot_use_its_gpu_mean_that_it_is_lost(error: Exception) -> None:
    assert is_gpu_lost(error)
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79 GiB"),
        torch.AcceleratorError(f"CUDA error: out of memory{ASYNCHRONOUS}"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:130] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 b"
        ),
        RuntimeError("could not create a primitive"),
    ],
)
def test_a_lack_of_memory_is_no_lost_gpu(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_gpu_lost(error)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device"),
        torch.AcceleratorError("CUDA error: invalid argument"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)"),
        ValueError("an illegal memory access was encountered"),
    ],
)
def test_mistakes_in_a_call_are_neither(error: Exception) -> None:
    assert not is_gpu_lost(error)
    assert not is_out_of_memory(error)


def test_torch_without_a_driver_says_so_in_words_that_mean_a_lost_gpu() -> None:
    if torch.cuda.is_available() or torch.version.cuda is None:
        pytest.skip("needs a torch that could use GPUs, and none")
    with pytest.raises(RuntimeError) as raised:
        torch.zeros(1, device="cuda")
    assert is_gpu_lost(raised.value)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")
def test_an_access_out_of_bounds_on_a_gpu_means_that_it_is_lost() -> None:
    # In a process of its own, which cannot use the GPU afterwards.
    code = (
        "import torch\n"
        "from proxy_tasks.gpu_failures import is_gpu_lost\n"
        "try:\n"
        "    torch.zeros(4, device='cuda')[torch.tensor([99], device='cuda')].cpu()\n"
        "except Exception as error:\n"
        "    print(is_gpu_lost(error), type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True AcceleratorError\n"
